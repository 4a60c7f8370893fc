"""Actions that windows do not show: hidden from the input, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from intent.config import SamplesConfig, load_config
from intent.errors import UsageError
from intent.features.history import TIME_BITS
from intent.samples import exclusion
from intent.samples.life import BuildCounts, read_life
from intent.samples.moments import groups_at, life_of
from intent.samples.reader import TrackFeed
from intent.samples.records import unpack
from intent.samples.runs import RUN
from intent.samples.verify import verify
from intent.schema import DAY_MS, PAPER
from tests.support.build import DICTIONARIES, NAMES, build_samples, runs_of
from tests.support.raw_logs import START, naive_group, random_logs

HIDDEN = ["tap.button=Button-Buy", "browse.type=purchase", "swipe.page=Page_Home"]


def resolved(*entries: str) -> exclusion.Exclusion:
    return exclusion.resolve(entries, PAPER, DICTIONARIES)


def shown(logs: dict) -> dict:
    """The logs without what HIDDEN hides, in plain pandas."""
    tap, browse, touch = (logs[n] for n in ("tap", "browse", "touch"))
    return logs | {
        "tap": tap[tap.button != "Button-Buy"],
        "browse": browse[browse.type != "purchase"],
        "touch": touch[touch.page != "Page_Home"],
    }


@pytest.fixture(scope="module")
def logs():
    return random_logs(users=5)


@pytest.fixture(scope="module")
def built(logs, tmp_path_factory):
    root = tmp_path_factory.mktemp("hidden")
    return root, build_samples(root, logs, exclude=HIDDEN)


def test_names_become_the_ids_of_the_dictionaries():
    found = resolved("tap.button=Button-Buy", "tap.page=Page_Cart", "tap.page=(unknown)")
    view = PAPER.view("tap")
    assert found.ids == {"tap": {view.column("button"): (2,), view.column("page"): (1, 3)}}
    assert resolved("browse.type=cart").ids["browse"] == {0: (4,)}
    ids = np.array([[1, 2, 0], [2, 2, 2], [1, 3, 3], [1, 1, 0], [1, 0, 0]])
    assert found.hides("tap", ids).tolist() == [False, True, True, True, False]
    assert not found.hides("browse", np.zeros((3, 6), int)).any()
    assert not exclusion.NOTHING.hides("tap", ids).any()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("pay", "takes view.feature=name"),
        ("tap.button=", "takes view.feature=name"),
        ("tap.buton=x", "did you mean tap.button=x"),
        ("swipe.time_gap=3", "levels and no names; there are swipe.page, swipe.action, tap.event"),
        ("tap.button=button-bye", "nearest: Button-Buy"),
        ("tap.button=zzz", "the first: Button-Buy"),
        ("browse.type=purchased", "nearest: purchase"),
    ],
)
def test_what_cannot_be_hidden_is_refused_with_the_nearest_that_can(entry, told):
    with pytest.raises(UsageError, match="samples.exclude") as error:
        resolved("tap.page=Page_Home", entry)
    assert told in str(error.value)


def test_a_view_that_the_logs_lack_hides_nothing():
    with pytest.raises(UsageError, match=r"there are browse\.type"):
        exclusion.check(["tap.button=Button-Buy"], PAPER.keep(["browse", "history"]))
    exclusion.check(HIDDEN, PAPER)


def test_windows_are_those_of_logs_without_the_hidden_labels_and_history_of_all(built, logs):
    root, manifest = built
    seen, groups, different = shown(logs), 0, 0
    for batch in TrackFeed(root, manifest, manifest.schema, batch=64).batches(0):
        for i in np.flatnonzero(batch.weights > 0)[::3]:
            user, at = batch.users[i], int(batch.times[i])
            expected = naive_group(seen, NAMES, user, at, 16)
            whole = naive_group(logs, NAMES, user, at, 16)
            for view in manifest.schema.views:
                ids = batch.inputs[view.name][i]
                count = (ids[:, view.marker_column] > 0).sum()
                # of actions at one millisecond, any may be first
                if len({t for t, _ in expected[view.name]}) == len(expected[view.name]):
                    assert ids[:count].tolist() == [list(a) for _, a in expected[view.name]]
                different += expected[view.name] != whole[view.name]
            assert batch.labels[i].tolist() == whole["labels"]
            assert batch.inputs["history"][i].tolist() == whole["history"]
            different += expected["history"] != whole["history"]
            groups += 1
    assert groups > 40
    assert different > groups  # negative control: there was something to hide


def test_every_hidden_row_is_counted_and_the_account_holds(built, logs):
    root, manifest = built
    seen = shown(logs)
    for table in ("touch", "tap", "browse"):
        gone = len(logs[table]) - len(seen[table])
        assert manifest.dropped[f"{table}/excluded"] == gone > 0
        assert manifest.used[table] + gone == manifest.rows_in[table]
    wrong = {c.name: c.wrong for c in verify(root) if not c.ok and c.name != "petastorm metadata"}
    assert not wrong


def test_no_cut_lies_where_nothing_is_shown(built, logs):
    root, manifest = built
    seen = shown(logs)
    moments = {
        (u, t) for n in ("touch", "tap", "browse")
        for u, t in zip(seen[n].user_id, seen[n].timestamp, strict=True)
    }  # fmt: skip
    feed = TrackFeed(root, manifest, manifest.schema, batch=64)
    for batch in feed.batches(0):
        real = batch.weights > 0
        cuts = zip(batch.users[real], batch.times[real].tolist(), strict=True)
        assert moments.issuperset(cuts)


def test_groups_from_raw_tables_hide_the_same(built, logs):
    root, manifest = built
    raw = {n: pa.Table.from_pandas(f, preserve_index=False) for n, f in logs.items()}
    settings = SamplesConfig(**manifest.settings)
    same, _ = life_of(raw, manifest.schema, DICTIONARIES, settings=settings)
    all_shown, _ = life_of(raw, manifest.schema, DICTIONARIES)
    codes = {name: code for code, name in enumerate(same.users.to_pylist())}
    differs = 0
    for batch in TrackFeed(root, manifest, manifest.schema, batch=64).batches(0):
        real = batch.weights > 0
        users, times = np.array([codes[u] for u in batch.users[real]]), batch.times[real]
        inputs = [
            groups_at(life, users, times, manifest.schema).inputs(np.arange(len(users)))
            for life in (same, all_shown)
        ]
        for name in inputs[0]:
            assert (inputs[0][name] == batch.inputs[name][real]).all(), name
            differs += (inputs[1][name] != batch.inputs[name][real]).any()
    assert differs >= 3  # negative control: without the setting the windows are others


def test_settings_without_names_resolved_are_an_error_not_a_dataset_that_hides_nothing(logs):
    from intent.features.encode import Limits
    from intent.features.span import Span

    limits = Limits(Span(START, START + 4 * DAY_MS))
    records, _ = unpack(pa.Table.from_batches(runs_of(logs, limits), RUN), 1)
    with pytest.raises(ValueError, match="not resolved"):
        read_life(records, PAPER, START, BuildCounts(), SamplesConfig(exclude=HIDDEN))
    hidden = resolved(*HIDDEN)
    life = read_life(records, PAPER, START, BuildCounts(), SamplesConfig(exclude=HIDDEN), hidden)
    bought = logs["browse"][logs["browse"].type == "purchase"]
    assert len(life.deeds["purchase"]) == len(bought)
    assert (np.diff(life.deeds["purchase"]) >= 0).all()
    assert len(np.unique(life.deeds["purchase"] >> TIME_BITS)) == bought.user_id.nunique()


def test_the_manifest_keeps_what_is_hidden_and_says_nothing_where_nothing_is(built):
    assert built[1].settings["exclude"] == sorted(HIDDEN)
    assert "exclude" not in SamplesConfig().of_groups()
    twice = SamplesConfig(exclude=[*HIDDEN[::-1], HIDDEN[0]])
    assert twice.of_groups()["exclude"] == sorted(HIDDEN)
    given = load_config(overrides=["samples.exclude=[tap.button=Button-Buy, browse.type=cart]"])
    assert given.samples.exclude == ["tap.button=Button-Buy", "browse.type=cart"]


def test_days_are_added_with_the_same_hidden(built):
    from intent.samples.days import check_joins, like

    manifest = built[1]
    settings = like(manifest, SamplesConfig())
    assert settings.exclude == sorted(HIDDEN)
    check_joins(manifest, settings, "samples")
    for other in ([], ["browse.type=cart"]):
        wanted = like(manifest, SamplesConfig(exclude=other))
        with pytest.raises(UsageError, match=r"samples\.exclude"):
            check_joins(manifest, wanted, "samples")
    plain = replace(manifest, settings=SamplesConfig(length=16).of_groups())
    check_joins(plain, like(plain, SamplesConfig()), "samples")
    with pytest.raises(UsageError, match=r"samples\.exclude"):
        check_joins(plain, like(plain, SamplesConfig(exclude=HIDDEN)), "samples")


def test_verify_finds_what_should_be_hidden(logs, tmp_path):
    import json

    build_samples(tmp_path, logs)
    place = tmp_path / "manifest.json"
    said = json.loads(place.read_text())
    said["settings"]["exclude"] = ["tap.button=Button-Buy"]
    place.write_text(json.dumps(said))
    (ids,) = (c for c in verify(tmp_path) if c.name == "ids")
    assert not ids.ok and "actions should be hidden (samples.exclude)" in ids.wrong[0]
