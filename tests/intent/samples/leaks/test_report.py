"""A leak that was planted is found; without it, and with labels by lot, nothing is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from intent.samples.card import Groups
from intent.samples.leaks import words
from intent.samples.leaks.counts import Counts
from intent.samples.leaks.page import write_leaks
from intent.samples.leaks.report import CLOSE_RATE, collect, gives_away
from intent.samples.scan import read_parts
from intent.schema import DAY_MS, HOUR_MS
from tests.support.build import build_samples
from tests.support.raw_logs import START, random_logs

PAY = "Button-Buy"  # of the button's names, the one that the dictionaries know


def shop(planted: bool, users: int = 120, seed: int = 0) -> dict:
    """Logs in which a purchase follows nothing but, where planted, the pay button by 4 s."""
    logs, rng = random_logs(users=users, seed=seed), np.random.default_rng(seed)
    logs["tap"]["button"] = None
    browse = logs["browse"]
    bought = browse.type == "purchase"
    browse = browse[~bought | (rng.random(len(browse)) < 0.25)]
    buys = browse[browse.type == "purchase"]
    pay = pd.DataFrame({
        "user_id": buys.user_id, "timestamp": buys.timestamp - 4_000, "event": "button",
        "page": "Page_Home", "button": PAY,
    })  # fmt: skip
    if not planted:  # as many, at other moments
        pay["timestamp"] = START + rng.integers(0, 4 * DAY_MS, len(pay))
    tap = pd.concat([logs["tap"], pay[pay.timestamp >= START]], ignore_index=True)
    return logs | {"browse": browse, "tap": tap}


def made(root, planted: bool, **settings):
    """Its dataset."""
    return build_samples(root, shop(planted), per_day=30, row_group=400, **settings)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    return root, made(root, True)


@pytest.fixture(scope="module")
def facts(planted):
    return collect(*planted)


def test_the_planted_button_is_listed_first_with_lift_and_counts(facts):
    assert facts["gives_away"]["entries"] == [f"tap.button={PAY}"]
    first = facts["entries"][0]
    assert first["entry"] == f"tap.button={PAY}" and first["when"] == "cut"
    assert first["groups"] > 40 and 30 < first["users"] <= 120
    hour = first["tasks"]["realtime"]
    assert hour["rate"] > 0.98 and hour["ci95"][0] > 0.8 and "realtime" in first["gives_away"]
    assert hour["lift"] == pytest.approx(hour["rate"] / facts["tasks"]["realtime"]["rate"])
    assert hour["lift_ci95"][0] > 5
    (line, advice) = words.verdict(facts)
    assert line.startswith(f"tap.button={PAY} gives it away: at that very action, ")
    assert f"samples.exclude=[tap.button={PAY}]" in advice
    assert words.headline(facts) == "1 entry gives the purchase away"


def test_without_the_plant_nothing_is_listed(tmp_path):
    facts = collect(tmp_path, made(tmp_path, False))
    assert facts["gives_away"] == {"entries": [], "columns": []}
    button = [e for e in facts["entries"] if e["entry"] == f"tap.button={PAY}"]
    assert button and all(e["tasks"]["realtime"]["lift"] < 3 for e in button)
    (line,) = words.verdict(facts)
    assert line.startswith("An entry (a page, a button, a category, a kind of action) gives")


def test_with_labels_by_lot_nothing_is_listed(planted):
    found = [collect(*planted, by_lot=seed) for seed in (0, 1, 0)]
    assert found[0] == found[2] != found[1]
    for facts in found[:2]:
        assert facts["gives_away"] == {"entries": [], "columns": []}
        aucs = [c["tasks"][t]["auc"] for c in facts["columns"] for t in facts["tasks"]]
        assert max(aucs) < 0.6 and abs(np.mean(aucs) - 0.5) < 0.02
        assert words.verdict(facts)[0].startswith("Control")


def test_once_it_is_hidden_it_is_not_listed(planted, tmp_path):
    hidden = [f"tap.button={PAY}"]
    facts = collect(
        tmp_path,
        made(tmp_path, True, exclude=hidden),
    )
    assert facts["excluded"] == hidden and facts["gives_away"]["entries"] == []
    assert not any(e["entry"] in hidden for e in facts["entries"])
    assert words.verdict(facts)[-1] == f"Hidden already (samples.exclude): {hidden[0]}."


def test_counts_are_those_of_a_plain_loop(planted, facts):
    root, manifest = planted
    found: dict[tuple, list] = {}
    users: dict[tuple, set] = {}
    groups = 0
    for shard in manifest.shards:
        for part in read_parts(str(root), manifest, shard):
            unit = part.unit
            for c in range(unit.groups):
                groups += 1
                low, end = unit.low["tap"][c], unit.end["tap"][c]
                if end <= low:
                    continue
                button = int(unit.ids["tap"][end - 1, 2])
                for when in ("last", "cut"):
                    if button == 2 and (when == "last" or unit.times["tap"][end - 1] == unit.at[c]):
                        found.setdefault(when, []).append(unit.labels[c])
                        users.setdefault(when, set()).add(unit.users[c])
    assert groups == facts["groups"] == manifest.groups
    for entry in facts["entries"]:
        if entry["entry"] == f"tap.button={PAY}":
            labels = np.array(found[entry["when"]])
            assert entry["groups"] == len(labels)
            assert [t["positives"] for t in entry["tasks"].values()] == labels.sum(0).tolist()
            assert abs(entry["users"] - len(users[entry["when"]])) <= 2
            rates = [t["rate"] for t in entry["tasks"].values()]
            assert rates == pytest.approx(labels.mean(axis=0).tolist())


def test_a_feature_that_is_the_label_is_listed(planted):
    """History counts that know the future: what a table that is updated after the fact does."""
    from dataclasses import replace

    from intent.samples import manifest as manifests
    from intent.samples.leaks.report import summary

    root, manifest = planted
    dictionaries = manifests.load_dictionaries(root, manifest)
    for leaky in (True, False):
        counts = Counts(manifest.schema)
        for shard in manifest.shards:
            for part in read_parts(str(root), manifest, shard):
                profile = part.unit.profile.copy()
                if leaky:
                    profile[:, 4] = 1 + part.unit.labels[:, 1]
                counts.add(replace(part.unit, profile=profile))
        found = summary(counts, manifest.schema, dictionaries)["gives_away"]["columns"]
        assert found == (["profile.vip_level"] if leaky else [])


def test_undersampling_of_negatives_changes_rates_only_by_chance(planted, facts, tmp_path):
    thin = made(tmp_path, True, negative_rate=0.3)
    other = collect(tmp_path, thin)
    assert other["groups"] < 0.8 * facts["groups"]
    for task, about in facts["tasks"].items():
        assert other["tasks"][task]["rate"] == pytest.approx(about["rate"], rel=0.1)
    rates = [
        {(e["entry"], e["when"]): e["tasks"]["longterm"]["rate"] for e in f["entries"]}
        for f in (facts, other)
    ]
    common = [k for k in rates[0] if k in rates[1]]
    assert len(common) > 15
    assert np.mean([abs(rates[0][k] - rates[1][k]) for k in common]) < 0.04


def test_users_are_counted_to_within_a_few_percent(planted):
    manifest = planted[1]
    rng = np.random.default_rng(0)
    for n in (9, 60, 3_000):
        counts, units = Counts(manifest.schema), Groups()
        part = next(read_parts(str(planted[0]), manifest, manifest.shards[0]))
        from dataclasses import replace

        index = rng.integers(0, part.unit.groups, 1)
        names = np.array([f"someone-{i}" for i in range(n)], object)
        low = {v: np.repeat(a[index], n) for v, a in part.unit.low.items()}
        end = {v: np.repeat(a[index], n) for v, a in part.unit.end.items()}
        many = replace(
            part.unit, low=low, end=end, users=names, rows=np.arange(n),
            **{k: np.repeat(getattr(part.unit, k)[index], n, axis=0)
               for k in ("at", "labels", "history", "profile", "since")},
        )  # fmt: skip
        counts.add(many)
        counts.add(many)
        units.add(names, np.ones(n, int))
        seen = [c for c in counts.columns if c.feature is not None]
        levels = [counts.slices[c.name].start for c in seen]
        levels = [s + int(np.argmax(counts.groups[:, s:s + c.levels].sum(axis=0)))
                  for s, c in zip(levels, seen, strict=True)]  # fmt: skip
        assert abs(counts.users(np.array(levels)) - n).max() <= max(1, 0.04 * n)
        assert len(units.total()) == n


def test_the_threshold_is_a_rate_and_odds():
    assert gives_away(0.81, 0.04) and not gives_away(0.79, 0.04)
    assert not gives_away(0.86, 0.4) and gives_away(0.88, 0.4)  # 10 times the odds of 2 to 3
    assert gives_away(0.51, 0.04, CLOSE_RATE) and not gives_away(0.7, 0.2, CLOSE_RATE)
    assert not gives_away(0.9, 0.0) and not gives_away(0.99, 1.0)


def test_the_page_stands_alone_and_tells_the_same(planted, facts, tmp_path):
    page = write_leaks(tmp_path / "leaks.html", facts, planted[1]).read_text()
    assert "1 entry gives the purchase away" in page and f"tap.button={PAY}" in page
    assert "<svg" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert str(HOUR_MS) not in page and 'class="bad"' in page
    nothing = {"gives_away": {"entries": [], "columns": []}, "entries": [], "columns": []}
    clean = facts | nothing | {"comes_close": []}
    empty = write_leaks(tmp_path / "none.html", clean, planted[1]).read_text()
    assert "Nothing alone gives the purchase away" in empty
