"""Undersampling and its undoing, against a world whose probabilities are known."""

from __future__ import annotations

import numpy as np
import pytest

from intent import metrics
from intent.config import SamplesConfig, TrainConfig
from intent.errors import IntentError
from intent.features.history import key
from intent.samples.cleaning import keep_negatives
from intent.samples.manifest import Manifest, Shard
from intent.samples.undersampling import (
    is_negative,
    learnt_label_rates,
    learnt_rate,
    longest_task,
    recalibrate,
    weights,
)
from intent.schema import PAPER, TASKS, Task

NAMES = [task.name for task in TASKS]


def world(n: int, kinds: int = 6, seed: int = 0):
    """n cuts of some kinds: the kind of each, P(1 h) and P(1 d) of each kind, nested labels."""
    rng = np.random.default_rng(seed)
    day = np.linspace(0.03, 0.6, kinds)
    hour = day * rng.uniform(0.1, 0.9, kinds)
    kind = rng.integers(0, kinds, n)
    lot = rng.random(n)
    return kind, hour, day, np.stack([lot < hour[kind], lot < day[kind]], axis=1).astype(np.uint8)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_scores_learnt_on_what_was_kept_come_out_as_the_true_rates(rate):
    kind, hour, day, labels = world(600_000)
    cuts = key(np.zeros(len(kind), int), np.arange(len(kind)))
    kept = keep_negatives(cuts, np.array([7], np.uint64), labels, rate, seed=1)
    rows = np.bincount(kind[kept])
    learnt = {  # the best that any model can learn: the rate of each kind among the kept
        task: np.bincount(kind[kept], labels[kept, t]) / rows for t, task in enumerate(NAMES)
    }
    right = recalibrate(learnt, TASKS, rate)
    for task, truth in (("realtime", hour), ("longterm", day)):
        np.testing.assert_allclose(right[task], truth, rtol=0.05)
        assert (learnt[task] > 1.3 * truth).all()  # what would be said otherwise
    alone = rate * learnt["realtime"] / (1 - learnt["realtime"] + rate * learnt["realtime"])
    assert np.abs(alone / hour - 1).max() > 0.1  # odds do not put right a shorter horizon


def test_weights_make_the_figures_those_of_all_cuts():
    kind, hour, day, labels = world(400_000, seed=2)
    cuts = key(np.zeros(len(kind), int), np.arange(len(kind)))
    kept = keep_negatives(cuts, np.array([7], np.uint64), labels, 0.1, seed=1)
    w = weights(labels[kept], 0.1)
    assert w.sum() == pytest.approx(len(kind), rel=0.01)
    for t, p in enumerate((hour[kind], day[kind])):
        for figure, off in ((metrics.log_loss, 0.2), (metrics.pr_auc, 0.2), (metrics.brier, 0.2)):
            true = figure(p, labels[:, t])
            plain = figure(p[kept], labels[kept, t])
            assert figure(p[kept], labels[kept, t], w) == pytest.approx(true, rel=0.02)
            assert abs(plain / true - 1) > off
    # A negative of the short task that is positive for the long one was never thinned, so even
    # ranks are off without weights.
    realtime = metrics.roc_auc(hour[kind], labels[:, 0])
    assert metrics.roc_auc(hour[kind][kept], labels[kept, 0], w) == pytest.approx(
        realtime, abs=3e-3
    )
    assert abs(metrics.roc_auc(hour[kind][kept], labels[kept, 0]) - realtime) > 0.01


def test_identity_at_one_bounds_and_order():
    p = np.linspace(0, 1, 101)
    scores = {"realtime": p / 2, "longterm": p}
    same = recalibrate(scores, TASKS, 1.0)
    assert all((same[task] == scores[task]).all() for task in NAMES)
    before = {task: np.zeros(101) for task in NAMES}
    for rate in (1e-6, 0.01, 0.5, 0.999):
        right = recalibrate(scores, TASKS, rate)
        for task, q in right.items():
            assert (np.diff(q) > 0).all() and q[0] == 0 and q[-1] <= 1  # a larger score stays so
            assert (q >= before[task]).all()  # and the more were kept, the less is taken away
        assert (right["realtime"] <= right["longterm"]).all()
        assert right["longterm"] == pytest.approx(rate * p / (1 - p + rate * p))
        before = right
    near_one = 1 - np.arange(100, dtype=np.float32) * np.float32(2**-24)
    for rate in (1e-3, 0.1, 1 / 3, 0.9):
        low = recalibrate({t: near_one for t in NAMES}, TASKS, rate)["longterm"]
        assert low.dtype == np.float32 and low[0] == low.max() == 1


def test_the_longest_task_alone_will_do_and_nothing_will_without_it():
    assert longest_task(TASKS) == "longterm"
    assert longest_task((Task("week", 7), Task("hour", 1))) == "week"
    p = np.array([0.2, 0.7])
    assert list(recalibrate({"longterm": p}, TASKS, 0.5)) == ["longterm"]
    with pytest.raises(IntentError, match="longterm beside them"):
        recalibrate({"realtime": p}, TASKS, 0.5)
    assert (recalibrate({"realtime": p}, TASKS, 1.0)["realtime"] == p).all()


def manifest_of(labels: np.ndarray, rate: float) -> Manifest:
    """A manifest that counts these labels, in row groups of 1000."""
    parts = np.split(labels, range(1000, len(labels), 1000))
    shard = Shard(
        path="a",
        day="2026-01-01",
        rows=1,
        groups=len(labels),
        row_groups=[len(part) for part in parts],
        negatives=[int(is_negative(part).sum()) for part in parts],
        positives=dict(zip(NAMES, labels.sum(axis=0).tolist(), strict=True)),
        size=1,
        sha256="",
        content="0",
    )
    settings = SamplesConfig(negative_rate=rate).of_groups()
    return Manifest("tracks", PAPER, settings, [shard], [], "")


@pytest.mark.parametrize("weigh", [False, True])
@pytest.mark.parametrize("drawn", [1.0, 0.2])
def test_what_was_left_out_when_building_and_when_reading_multiplies(drawn, weigh):
    labels = world(200_000, seed=3)[3]
    lot = np.random.default_rng(4).random((2, len(labels)))
    built = labels[~is_negative(labels) | (lot[0] < 0.5)]
    manifest = manifest_of(built, 0.5)
    train = TrainConfig(negative_rate=drawn, weigh_negatives=weigh)
    assert learnt_rate(manifest, train) == (0.5 if weigh else 0.5 * drawn)

    kept = ~is_negative(built) | (lot[1, : len(built)] < drawn)
    w = weights(built, drawn)[kept] if weigh else None  # the reader's weights, up to their scale
    seen = np.average(built[kept], axis=0, weights=w)
    rates = learnt_label_rates(manifest, train)
    np.testing.assert_allclose([rates[t] for t in NAMES], seen, rtol=0.02)
    right = recalibrate(rates, TASKS, learnt_rate(manifest, train))  # a model without any input
    np.testing.assert_allclose([right[t] for t in NAMES], labels.mean(axis=0), rtol=0.02)
    assert rates["longterm"] > 1.2 * labels[:, 1].mean()
