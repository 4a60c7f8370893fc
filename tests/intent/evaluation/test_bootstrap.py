from __future__ import annotations

import math

import numpy as np
import pytest

from intent import metrics
from intent.errors import IntentError
from intent.evaluation import bootstrap


def crowd(rng, users=80, groups=10, gap=1.0, between=1.0, within=0.5):
    """Clustered scores with a known AUC.

    A user buys always or never; a score is the user's level (sd `between`), noise (sd `within`)
    and `gap` for a buyer. Two groups of different class are of two users, so the AUC of the
    population is Phi(gap / sqrt(2 (between^2 + within^2))).
    """
    label = rng.random(users) < 0.4
    level = rng.normal(gap * label, between)
    scores = level[:, None] + rng.normal(0, within, (users, groups))
    z = gap / math.sqrt(2 * (between**2 + within**2))
    truth = (1 + math.erf(z / math.sqrt(2))) / 2
    codes = np.repeat(np.arange(users), groups)
    return scores.ravel(), np.repeat(label, groups).astype(int), codes, truth


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = {"users": 0, "groups": 0}
    trials = 200
    for _ in range(trials):
        scores, labels, users, truth = crowd(rng)
        units = {"users": users, "groups": np.arange(len(users))}  # groups: the negative control
        for name, unit in units.items():
            found = bootstrap.auc_interval(scores, labels, unit, resamples=200)
            covered[name] += found["ci95"][0] <= truth <= found["ci95"][1]
    # 95 % nominal, 200 trials: two standard errors are 3 points; percentile intervals of 80 users
    # run a little narrow.
    assert 0.89 <= covered["users"] / trials <= 0.99
    # Groups taken for independent give an interval that is far too narrow.
    assert covered["groups"] / trials < 0.65


@pytest.mark.parametrize("levels", [None, 6])
def test_weighted_statistics_equal_the_plain_ones_on_repeated_users(levels):
    rng = np.random.default_rng(1)
    scores, labels, users, _ = crowd(rng, users=25, groups=7)
    labels = np.where(rng.random(len(labels)) < 0.2, 1 - labels, labels)
    if levels:
        scores = np.round(scores * 2)
    statistic = bootstrap.ranking(scores, labels, users)
    for w_U in bootstrap.user_weights(25, 20, seed=2):
        drawn = np.repeat(np.arange(25), w_U.astype(int))
        rows = np.concatenate([np.flatnonzero(users == u) for u in drawn])
        auc, ap = statistic(w_U)
        assert auc == pytest.approx(metrics.roc_auc(scores[rows], labels[rows]))
        assert ap == pytest.approx(metrics.pr_auc(scores[rows], labels[rows]))


def test_weights_of_groups_equal_repeated_groups():
    rng = np.random.default_rng(8)
    scores, labels, users, _ = crowd(rng, users=25, groups=7)
    scores, times = np.round(scores * 2), rng.integers(0, 4, len(scores))
    ranked = bootstrap.ranking(scores, labels, users, times.astype(float))
    repeated = bootstrap.ranking(*(np.repeat(a, times) for a in (scores, labels, users)))
    values = np.stack([scores, labels], axis=1)
    averages = bootstrap.means(values, users, 25, times.astype(float))
    often = bootstrap.means(np.repeat(values, times, axis=0), np.repeat(users, times), 25)
    for w_U in bootstrap.user_weights(25, 20, seed=2):
        assert ranked(w_U) == pytest.approx(repeated(w_U))
        assert averages(w_U) == pytest.approx(often(w_U))


def test_means_equal_the_plain_ones_on_repeated_users():
    rng = np.random.default_rng(3)
    values, users = rng.normal(size=(60, 2)), rng.integers(0, 9, 60)
    statistic = bootstrap.means(values, users, 9)
    for w_U in bootstrap.user_weights(9, 5, seed=4):
        np.testing.assert_allclose(statistic(w_U), np.average(values, axis=0, weights=w_U[users]))


def test_same_seed_same_interval_and_names_are_as_good_as_codes():
    scores, labels, users, _ = crowd(np.random.default_rng(5))
    a = bootstrap.auc_interval(scores, labels, users, resamples=50, seed=7)
    assert a == bootstrap.auc_interval(scores, labels, users, resamples=50, seed=7)
    names = np.array([f"user-{u:04d}" for u in users])
    assert a == bootstrap.auc_interval(scores, labels, names, resamples=50, seed=7)
    assert a != bootstrap.auc_interval(scores, labels, users, resamples=50, seed=8)


def test_no_interval_where_there_can_be_none():
    few = bootstrap.auc_interval([0.1, 0.9], [0, 1], ["a", "b"])
    assert few == {"value": 1.0, "ci95": None}
    rng = np.random.default_rng(6)
    one_buyer = np.arange(40) == 3
    found = bootstrap.auc_interval(rng.random(40), one_buyer, np.arange(40), resamples=200)
    assert 0 <= found["value"] <= 1 and found["ci95"] is None  # 36 % of resamples miss the buyer
    none = bootstrap.auc_interval(rng.random(40), np.zeros(40), np.arange(40), resamples=20)
    assert math.isnan(none["value"]) and none["ci95"] is None


def test_lengths_must_agree():
    with pytest.raises(IntentError, match="one length"):
        bootstrap.auc_interval([0.1, 0.2], [0, 1], ["a"])


def test_no_interval_without_width():
    perfect = np.arange(40) % 2
    assert bootstrap.auc_interval(perfect, perfect, np.arange(40), resamples=50) == {
        "value": 1.0,
        "ci95": None,
    }
    assert bootstrap.interval(np.zeros(50)) is None
    assert bootstrap.interval(np.arange(50.0)) is not None
