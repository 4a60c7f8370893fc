from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from intent import metrics
from intent.evaluation.facts import facts_of
from intent.evaluation.predict import Predictions
from intent.evaluation.slices import by_slice, slices_of
from intent.schema import DAY_MS, HISTORY, HOUR_MS, PAPER, TASKS


def shop(users: int = 200, groups: int = 8) -> Predictions:
    """Old users are ranked well, new ones not at all."""
    rng = np.random.default_rng(0)
    n = users * groups
    past = np.repeat(np.arange(users) % 2, groups)
    truth = rng.beta(1, 3, n)
    said = np.where(past == 1, truth, rng.beta(1, 3, n))
    labels = (rng.random((n, 2)) < truth[:, None]).astype(np.uint8)
    return Predictions(
        scores={"realtime": said, "longterm": said},
        labels=labels,
        users=np.repeat([f"u{i}" for i in range(users)], groups).astype(object),
        times=20_000 * DAY_MS + rng.integers(0, 24, n) * HOUR_MS,
        weights=np.ones(n),
        facts={"past": past, "actions": rng.integers(0, 300, n),
               "phone_price": rng.integers(-1, 11, n)},
    )  # fmt: skip


def test_facts_are_read_off_the_inputs():
    inputs = {
        "swipe": np.zeros((3, 5, 14), np.uint8),
        "tap": np.zeros((3, 5, 3), np.uint16),
        "history": np.ones((3, len(HISTORY)), np.uint8),
        "profile": np.array([[1, 1, 1, 1, 1, p] for p in (0, 1, 11)], np.uint8),
    }
    inputs["swipe"][1, :4, PAPER.view("swipe").marker_column] = 2
    inputs["tap"][1, :2, PAPER.view("tap").marker_column] = 1
    inputs["tap"][2, :5, PAPER.view("tap").marker_column] = 1
    inputs["history"][2, 7] = 3
    facts = facts_of(inputs, PAPER)
    assert facts["actions"].tolist() == [0, 6, 5]
    assert facts["past"].tolist() == [0, 0, 1]
    assert facts["phone_price"].tolist() == [-1, 0, 10]
    assert facts_of({}, PAPER) == {}
    assert set(facts_of(inputs, PAPER.keep(["history"]))) == {"past"}


def test_slices_of_a_kind_hold_every_group_once_in_their_order():
    found = shop()
    kinds: dict[str, list] = {}
    for part in slices_of(found.times, found.facts):
        kinds.setdefault(part.kind, []).append(part)
    assert list(kinds) == ["past", "actions", "hour", "phone_price"]
    for parts in kinds.values():
        assert (np.sum([p.mask for p in parts], axis=0) == 1).all()
    assert [p.value for p in kinds["actions"]] == [
        "none", "1 to 9", "10 to 49", "50 to 199", "200 to 499",
    ]  # fmt: skip
    assert kinds["actions"][1].mask.sum() == ((found.facts["actions"] - 1) // 9 == 0).sum()
    assert kinds["hour"][1].value == "03:00 to 06:00"
    hours = found.times[kinds["hour"][1].mask] % DAY_MS // HOUR_MS
    assert set(hours) == {3, 4, 5}
    assert kinds["phone_price"][-1].mask.sum() == (found.facts["phone_price"] < 0).sum()


def test_figures_are_those_of_the_slice_alone():
    found = shop()
    result = by_slice(found, TASKS, resamples=200)
    new, old = result["rows"][:2]
    assert (new["kind"], new["value"], old["value"]) == ("past", "new users", "old users")
    for row, past in ((new, 0), (old, 1)):
        mask = found.facts["past"] == past
        assert (row["groups"], row["users"]) == (800, 100)
        for t, task in enumerate(("realtime", "longterm")):
            y, p = found.labels[mask, t], found.scores[task][mask]
            assert row["positives"][task] == y.sum()
            assert row["auc"][task]["value"] == pytest.approx(metrics.roc_auc(p, y))
            assert row["base_rate"][task]["value"] == pytest.approx(y.mean())
            assert row["mean_score"][task]["value"] == pytest.approx(p.mean())
    assert new["auc"]["realtime"]["ci95"][0] < 0.5 < new["auc"]["realtime"]["ci95"][1]
    assert old["auc"]["realtime"]["ci95"][0] > new["auc"]["realtime"]["ci95"][1]


def test_what_is_not_there_is_said_and_old_predictions_have_hours_still():
    found = shop()
    assert [n.split(" is no slice")[0] for n in by_slice(found, TASKS, resamples=5)["notes"]] == [
        "Screen size"
    ]
    bare = by_slice(replace(found, facts={}), TASKS, resamples=5)
    assert {row["kind"] for row in bare["rows"]} == {"hour"}
    assert len(bare["notes"]) == 3
    old = by_slice(replace(found, facts={"past": np.ones(1600, int)}), TASKS, resamples=5)
    assert "New or old user is no slice: every group is of old users." in old["notes"]
    assert {row["kind"] for row in old["rows"]} == {"hour"}


def test_a_slice_without_buyers_has_no_auc():
    found = shop(users=40)
    labels = found.labels * (found.facts["past"] == 1)[:, None]
    rows = by_slice(replace(found, labels=labels), TASKS, resamples=20)["rows"]
    assert (
        np.isnan(rows[0]["auc"]["realtime"]["value"]) and rows[0]["auc"]["realtime"]["ci95"] is None
    )
    assert rows[1]["auc"]["realtime"]["value"] > 0.5


def test_facts_are_kept_with_the_predictions_and_files_without_them_are_read(tmp_path):
    found = shop(users=10)
    found.save(tmp_path / "with.parquet")
    again = Predictions.load(tmp_path / "with.parquet")
    assert set(again.facts) == set(found.facts) and list(again.scores) == list(found.scores)
    assert all((again.facts[name] == values).all() for name, values in found.facts.items())
    replace(found, facts={}).save(tmp_path / "without.parquet")
    assert Predictions.load(tmp_path / "without.parquet").facts == {}
    some = again.where(np.array([3, 1]))
    assert some.facts["actions"].tolist() == found.facts["actions"][[3, 1]].tolist()
    assert some.users.tolist() == found.users[[3, 1]].tolist()
