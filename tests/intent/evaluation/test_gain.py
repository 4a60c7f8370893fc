from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from intent.evaluation import bootstrap
from intent.evaluation.gain import SHARES, gain, gains


def whole(scores, labels, shares, weights=None):
    """Found at `shares` over all groups."""
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    codes = np.arange(len(scores))
    return gains(scores, labels, codes, shares, weights)(np.ones(len(scores)))


def test_by_hand():
    scores, labels = [0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 0, 0]
    found = whole(scores, labels, (0.2, 0.4, 0.6, 1.0))
    assert found == pytest.approx([0.5, 0.5, 1.0, 1.0])
    assert whole(scores, labels, (0.1,)) == pytest.approx([0.25])  # half of the best group
    assert whole([0.9] * 4, [1, 0, 0, 1], (0.25, 0.5)) == pytest.approx([0.25, 0.5])  # by lot
    assert np.isnan(whole(scores, [0] * 5, (0.2,))).all()


def test_equal_scores_in_any_order_and_weights_as_repeated_groups():
    rng = np.random.default_rng(0)
    scores = np.round(rng.random(200) * 5)
    labels, times = (rng.random(200) < 0.3).astype(int), rng.integers(1, 4, 200)
    found = whole(scores, labels, SHARES)
    order = rng.permutation(200)
    assert whole(scores[order], labels[order], SHARES) == pytest.approx(found)
    weighted = whole(scores, labels, SHARES, times.astype(float))
    repeated = whole(np.repeat(scores, times), np.repeat(labels, times), SHARES)
    assert weighted == pytest.approx(repeated)


def test_of_normal_scores_it_is_known_and_inside_its_interval():
    rng = np.random.default_rng(1)
    n, base, gap = 6000, 0.2, 1.5
    labels = (rng.random(n) < base).astype(int)
    scores = norm.cdf(rng.normal(gap * labels, 1))
    result = gain(scores, labels, np.arange(n), resamples=200)
    grid = np.linspace(-6, 8, 20_001)
    taken = base * norm.sf(grid - gap) + (1 - base) * norm.sf(grid)
    for row, share in zip(result["at"], SHARES, strict=True):
        truth = norm.sf(grid[np.argmin(np.abs(taken - share))] - gap)
        low, high = row["found"]["ci95"]
        assert low < truth < high and high - low < 0.1
        assert row["lift"]["value"] == pytest.approx(row["found"]["value"] / share)
        rate = row["found"]["value"] * labels.mean() / share
        assert row["rate"]["value"] == pytest.approx(rate)
        assert row["lift"]["ci95"][0] > 2


def test_shuffled_labels_are_found_as_if_drawn_by_lot():
    rng, trials, away = np.random.default_rng(5), 40, np.zeros(len(SHARES))
    for _ in range(trials):
        labels = (rng.random(2000) < 0.2).astype(int)
        rows = gain(rng.random(2000), labels, np.arange(2000), resamples=100)["at"]
        ends = [row["lift"]["ci95"] for row in rows]
        away += [not low <= 1 <= high for low, high in ends]
    # 5 % of 40 is 2; more than 7 would come by in one of 1,000 such tests.
    assert away.max() <= 7, away


def test_whole_users_are_drawn():
    """Groups of one user, taken for independent, give an interval that is far too narrow."""
    rng = np.random.default_rng(2)
    labels = np.repeat((rng.random(60) < 0.3).astype(int), 20)
    scores = np.repeat(rng.random(60), 20)
    users = np.repeat(np.arange(60), 20)
    wide, narrow = (
        np.ptp(gain(scores, labels, by, resamples=200)["at"][3]["found"]["ci95"])
        for by in (users, np.arange(1200))
    )
    assert wide > 2 * narrow


def test_the_curve_rises_to_all_and_nobody_buying_is_no_error():
    rng = np.random.default_rng(3)
    scores, users = rng.random(300), np.repeat(np.arange(30), 10)
    labels = (rng.random(300) < scores).astype(int)
    curve = gain(scores, labels, users, resamples=50)["curve"]
    assert curve["found"][0] == 0 and curve["found"][-1] == pytest.approx(1)
    assert (np.diff(curve["found"]) >= 0).all() and len(curve["share"]) == len(curve["ci95"])
    empty = gain(scores, np.zeros(300), users, resamples=20)
    assert math.isnan(empty["at"][0]["found"]["value"]) and empty["at"][0]["found"]["ci95"] is None


def test_a_statistic_is_the_plain_one_on_repeated_users():
    rng = np.random.default_rng(4)
    scores, users = np.round(rng.random(100), 1), np.repeat(np.arange(10), 10)
    labels = (rng.random(100) < 0.4).astype(int)
    statistic = gains(scores, labels, users, SHARES)
    for w_U in bootstrap.user_weights(10, 10, seed=0):
        rows = np.repeat(np.arange(100), w_U[users].astype(int))
        assert statistic(w_U) == pytest.approx(whole(scores[rows], labels[rows], SHARES))
