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


@pytest.mark.parametrize("rare", [0, 1])
def test_ten_users_of_either_class_make_an_interval_and_nine_do_not(rare):
    """Of 300 users only these few tell what the AUC hangs on; their groups are many."""
    rng = np.random.default_rng(10)
    users = np.repeat(np.arange(300), 4)
    for few in (9, 10):
        labels = np.where(users < few, rare, 1 - rare)
        found = bootstrap.auc_interval(rng.normal(labels), labels, users, resamples=50)
        assert 0.5 < found["value"] < 1 and (found["ci95"] is None) == (few < 10)


@pytest.mark.parametrize("levels", [None, 4])
def test_the_spread_is_delong_s_where_every_group_has_a_user_of_its_own(levels):
    """A closed form: the variance of an AUC of independent groups (DeLong et al. 1988)."""
    rng = np.random.default_rng(9)
    labels = (rng.random(600) < 0.3).astype(int)
    scores = rng.normal(0.8 * labels, 1)
    if levels:
        scores = np.round(scores * levels / 4)
    true, false = scores[labels == 1][:, None], scores[labels == 0]
    wins = (true > false) + 0.5 * (true == false)
    v10, v01 = wins.mean(axis=1), wins.mean(axis=0)
    variance = np.var(v10, ddof=1) / len(v10) + np.var(v01, ddof=1) / len(v01)
    found = bootstrap.auc_interval(scores, labels, np.arange(600), resamples=2000)
    assert found["value"] == pytest.approx(wins.mean())
    width = np.ptp(found["ci95"])
    assert width == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.08)


def test_by_hand_every_draw_of_three_users():
    """All 27 draws of three users, counted out, against what the statistic gives for each."""
    scores, labels = np.array([0.1, 0.4, 0.3, 0.8]), np.array([0, 1, 0, 1])
    users = np.array([0, 0, 1, 2])
    statistic = bootstrap.ranking(scores, labels, users)
    for drawn in np.ndindex(3, 3, 3):
        w_U = np.bincount(drawn, minlength=3).astype(float)
        rows = [i for user in drawn for i in np.flatnonzero(users == user)]
        pairs = [float(scores[i] > scores[j]) for i in rows for j in rows if labels[i] > labels[j]]
        auc = statistic(w_U)[0]
        assert auc == pytest.approx(np.mean(pairs)) if pairs else math.isnan(auc)


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
