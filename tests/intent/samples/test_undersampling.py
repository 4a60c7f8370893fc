"""Undersampling and its undoing, against a world whose probabilities are known."""

from __future__ import annotations

import numpy as np
import pytest

from intent import metrics
from intent.errors import IntentError
from intent.features.history import key
from intent.samples.cleaning import keep_negatives
from intent.samples.undersampling import longest_task, recalibrate, weights
from intent.schema import TASKS, Task

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
