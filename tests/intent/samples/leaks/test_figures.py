"""Rates, intervals and AUCs from counts: against closed forms, scikit-learn and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from intent.samples.leaks import figures


def test_wilson_s_interval_is_the_textbook_s():
    low, high = figures.wilson(np.array([0.5, 0.0, 0.9]), np.array([10.0, 20.0, 50.0]))
    assert low == pytest.approx([0.2366, 0.0, 0.7864], abs=2e-4)
    assert high == pytest.approx([0.7634, 0.1611, 0.9565], abs=2e-4)


def drawn(rng, users: int, each: int, rate: float, alike: float, buckets: int = 64):
    """Groups and positives by bucket; a user's groups share their fate with chance `alike`."""
    groups, positives = np.zeros((buckets, 1), int), np.zeros((buckets, 1), int)
    fate, bucket = rng.random(users) < rate, rng.integers(0, buckets, users)
    own = rng.random((users, each)) < rate
    outcome = np.where(rng.random((users, each)) < alike, fate[:, None], own)
    np.add.at(groups[:, 0], bucket, each)
    np.add.at(positives[:, 0], bucket, outcome.sum(axis=1))
    return groups, positives


@pytest.mark.parametrize(("alike", "users"), [(0.0, 200), (1.0, 200), (1.0, 60), (0.6, 500)])
def test_intervals_hold_the_true_rate_however_alike_a_user_s_groups_are(alike, users):
    rng, held, naive = np.random.default_rng(0), 0, 0
    for _ in range(300):
        groups, positives = drawn(rng, users, 12, 0.3, alike)
        n = groups.sum(axis=0)
        _, low, high = figures.rates(groups, positives, n)
        held += low[0] <= 0.3 <= high[0]
        narrow = figures.wilson(positives.sum(axis=0) / n, n)
        naive += narrow[0][0] <= 0.3 <= narrow[1][0]
    assert held / 300 > 0.9, held
    if alike > 0.5:
        assert naive / 300 < 0.7  # negative control: as if a user's groups were independent


def test_a_rate_of_one_is_not_certain():
    groups = np.zeros((64, 2), int)
    groups[:12, 0], groups[:, 1] = 1, 100
    rate, low, high = figures.rates(groups, groups, groups.sum(axis=0))
    assert rate.tolist() == [1, 1] and high == pytest.approx([1, 1])
    assert 0.7 < low[0] < 0.8 and 0.93 < low[1] < 0.97


def levels(rng, n: int, levels: int, tells: float):
    """Bucket, level and label of n groups; the level tells the label so much."""
    level, bucket = rng.integers(0, levels, n), rng.integers(0, 64, n)
    rate = 0.2 + tells * (level % 2)
    return bucket, level, rng.random(n) < rate


def tables(bucket, level, label, size):
    groups, positives = np.zeros((64, size), int), np.zeros((64, size), int)
    np.add.at(groups, (bucket, level), 1)
    np.add.at(positives, (bucket, level), label)
    return groups, positives


def test_the_auc_is_scikit_learn_s_of_cross_fitted_means():
    rng = np.random.default_rng(3)
    bucket, level, label = levels(rng, 4000, 12, 0.4)
    value, (low, high) = figures.column_auc(*tables(bucket, level, label, 12))
    found = []
    for half in (0, 1):
        fit, judge = bucket % 2 != half, bucket % 2 == half
        base = label[fit].mean()
        n = np.bincount(level[fit], minlength=12)
        y = np.bincount(level[fit], label[fit], 12)
        score = (y + figures.PRIOR * base) / (n + figures.PRIOR)
        found.append(roc_auc_score(label[judge], score[level[judge]]))
    assert value == pytest.approx(np.mean(found))
    assert low < value < high and high - low < 0.06


def test_rare_levels_that_say_nothing_gain_nothing_which_without_cross_fitting_they_do():
    rng, found, fitted = np.random.default_rng(5), [], []
    for _ in range(10):
        bucket, level, label = levels(rng, 3000, 1500, 0.0)
        value, (low, high) = figures.column_auc(*tables(bucket, level, label, 1500))
        found.append(low <= 0.5 <= high)
        mean = np.bincount(level, label, 1500) / np.maximum(np.bincount(level, minlength=1500), 1)
        fitted.append(roc_auc_score(label, mean[level]))
        assert abs(value - 0.5) < 0.06
    assert np.mean(found) >= 0.8 and np.mean(fitted) > 0.8


def test_the_interval_of_an_auc_widens_where_users_are_few_and_alike():
    rng = np.random.default_rng(7)
    user = rng.integers(0, 100, 6000)
    fate, likes = rng.random(100) < 0.3, rng.integers(0, 2, 100)
    level, label = likes[user], fate[user]
    alike = figures.column_auc(*tables(user % 64, level, label, 2))
    apart = figures.column_auc(*tables(rng.integers(0, 64, 6000), level, rng.permutation(label), 2))
    width = [high - low for _, (low, high) in (alike, apart)]
    assert width[0] > 3 * width[1]


def test_what_cannot_be_told_is_none():
    nothing = np.zeros((64, 3), int)
    assert figures.column_auc(nothing, nothing) == (None, None)
    groups = nothing.copy()
    groups[:4] = 50
    value, interval = figures.column_auc(groups, groups // 5)
    assert value == pytest.approx(0.5) and interval is None  # users in four buckets only
