from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from intent.config import TrainConfig
from intent.errors import IntentError, UsageError
from intent.evaluation import recalibration
from intent.evaluation.before_after import before_after
from intent.evaluation.further_words import recalibrated
from intent.evaluation.predict import Predictions
from intent.evaluation.recalibration import Recalibration, fit, slice_of
from intent.samples.manifest import Shard
from intent.storage import sha256
from tests.support import small_training

POSITIVES = small_training.POSITIVES


def days(count: int):
    """A manifest of some days, and their names."""
    names = [f"2026-01-{i + 1:02}" for i in range(count)]
    shards = [
        Shard(f"{n}.parquet", n, 1, 1, [1], [1], POSITIVES, 1, "0" * 64, "0" * 32) for n in names
    ]
    return replace(small_training.manifest(), shards=shards), names


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shop(seed: int, users: int = 400, groups: int = 10, scale: float = 2.0) -> Predictions:
    """Scores that are too sure, of users who differ."""
    rng = np.random.default_rng(seed)
    z = np.repeat(rng.normal(-2, 0.8, users), groups) + rng.normal(0, 0.5, users * groups)
    z = np.stack([z, z + 1], axis=1)
    return Predictions(
        scores={"realtime": sigmoid(scale * z[:, 0]), "longterm": sigmoid(scale * z[:, 1])},
        labels=(rng.random(z.shape) < sigmoid(z)).astype(np.uint8),
        users=np.repeat([f"u{i}" for i in range(users)], groups).astype(object),
        times=np.arange(len(z)),
        weights=np.ones(len(z)),
    )


@pytest.mark.parametrize(
    ("settings", "expected", "learnt"),
    [
        ({}, [3], True),  # the labels of day 4, the last trained on, look into day 5
        ({"purge": True}, [3], True),
        ({"evaluation_days": 2}, [2], True),
        ({"validation_days": 2}, [3], False),  # of 3 and 4 the one that ends in time
        ({"validation_days": 1, "purge": True}, [3], False),
        ({"validation_days": 1}, [3], True),
    ],
)
def test_no_day_is_evaluated_and_no_label_looks_into_a_day_that_is(settings, expected, learnt):
    manifest, names = days(6)  # 0 to 5
    part = slice_of(manifest, TrainConfig(**settings))
    assert part.days == [names[i] for i in expected] and part.learnt == learnt
    assert any("has learnt from" in note for note in part.notes) == learnt
    passed_over = settings == {"validation_days": 1}
    assert any(f"labels of {names[4]} look into" in n for n in part.notes) == passed_over


def test_more_training_days_and_too_few():
    manifest, names = days(6)
    assert slice_of(manifest, TrainConfig(), days=3).days == names[1:4]
    with pytest.raises(IntentError, match="purge leaves no training day|no training day ends"):
        slice_of(days(2)[0], TrainConfig())


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_probabilities_are_better_on_other_days_and_the_order_is_the_same(method):
    how = fit(shop(1), method, "model", ["2026-01-04"], learnt=False)
    held_out = shop(2)
    better = how.of(held_out)
    changed = before_after(
        held_out.scores, better.scores, held_out.labels, held_out.users, held_out.weights,
        resamples=200,
    )  # fmt: skip
    for task, figures in changed.items():
        error, loss = figures["calibration_error"], figures["log_loss"]
        assert error["difference"]["ci95"][1] < 0 and loss["difference"]["ci95"][1] < 0
        assert error["after"]["value"] < 0.5 * error["before"]["value"]
        assert error["after"]["ci95"][0] <= error["after"]["value"] <= error["after"]["ci95"][1]
        assert figures["auc"]["difference"]["value"] == pytest.approx(0, abs=1e-9)
        assert figures["mean_score"]["after"]["value"] == pytest.approx(
            figures["base_rate"]["value"], rel=0.1
        )
        assert recalibrated({"held_out": changed}, task).endswith("better.")
    back = before_after(
        better.scores, held_out.scores, held_out.labels, held_out.users, held_out.weights,
        resamples=200,
    )  # fmt: skip
    assert "worse" in recalibrated({"held_out": back}, "realtime")
    same = before_after(
        better.scores, better.scores, held_out.labels, held_out.users, held_out.weights,
        resamples=50,
    )  # fmt: skip
    assert same["realtime"]["calibration_error"]["difference"]["value"] == 0


def test_the_interval_of_the_error_of_perfect_probabilities_reaches_to_about_nothing():
    reaches = []
    for seed in range(20):
        honest = shop(10 + seed, users=200, scale=1.0)
        found = before_after(
            honest.scores, honest.scores, honest.labels, honest.users, honest.weights, resamples=100
        )["longterm"]["calibration_error"]["before"]
        low, high = found["ci95"]
        assert 0 <= low < found["value"] + 1e-12 and high < 0.06
        reaches.append(low < 0.01)
    assert sum(reaches) >= 17
    off = shop(3)
    found = before_after(off.scores, off.scores, off.labels, off.users, off.weights, resamples=100)
    assert found["longterm"]["calibration_error"]["before"]["ci95"][0] > 0.02


def test_there_and_back_and_what_cannot_be_read(tmp_path):
    path, model = tmp_path / recalibration.NAME, tmp_path / "model.keras"
    model.write_bytes(b"weights")
    assert recalibration.of_run(tmp_path, model) is None
    for method in ("temperature", "isotonic"):
        how = fit(shop(1), method, sha256(model), ["2026-01-04"], learnt=True)
        how.save(path)
        assert recalibration.of_run(tmp_path, model) == how
        assert json.loads(path.read_text())["positives"]["realtime"] == how.positives["realtime"]
    model.write_bytes(b"other weights")
    with pytest.raises(IntentError, match="another model.keras.*run `intent calibrate` again"):
        recalibration.of_run(tmp_path, model)
    for broken in ("{", '{"format": 1}', '{"format": 9}'):
        path.write_text(broken)
        with pytest.raises(IntentError, match="damaged|format 9"):
            Recalibration.load(path)


def test_days_that_were_learnt_from_never_make_scores_surer():
    timid = shop(1, scale=0.5)
    free, held = (
        fit(timid, "temperature", "m", [], learnt=learnt).maps for learnt in (False, True)
    )
    assert free["longterm"].scale > 1.5 and held["longterm"].scale == 1
    mean = held["longterm"](timid.scores["longterm"]).mean()
    assert mean == pytest.approx(timid.labels[:, 1].mean(), rel=0.01)  # the level is mended
    sure = shop(1, scale=2.0)
    both = [fit(sure, "temperature", "m", [], learnt=learnt).maps for learnt in (False, True)]
    assert both[0] == both[1]


def test_wrong_methods_and_missing_tasks_are_told():
    with pytest.raises(UsageError, match="temperature, isotonic; got 'platt'"):
        fit(shop(1), "platt", "model", [], learnt=True)
    few = shop(1, users=12, groups=2)
    few.labels[:, 0] = 0
    with pytest.raises(IntentError, match="realtime: the days to calibrate on hold 0 positive"):
        fit(few, "temperature", "model", [], learnt=True)
    how = fit(shop(1), "temperature", "model", [], learnt=True)
    with pytest.raises(IntentError, match="scores are of weekly too"):
        how.apply({"weekly": np.array([0.5])})
