from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics as sk

from intent import metrics
from intent.errors import IntentError


def drawn(seed: int, n: int = 400, levels: int | None = None):
    """Labels that follow their scores, weights; with `levels`, scores with many ties."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, n)
    if levels:
        p = np.round(p * levels) / levels
    return p, (rng.random(n) < p).astype(int), rng.integers(0, 4, n).astype(float)


@pytest.mark.parametrize("levels", [None, 7, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_scikit_learn(levels, weighted):
    p, y, w = drawn(3, levels=levels)
    w = w if weighted else None
    assert metrics.roc_auc(p, y, w) == pytest.approx(sk.roc_auc_score(y, p, sample_weight=w))
    expected = sk.average_precision_score(y, p, sample_weight=w)
    assert metrics.pr_auc(p, y, w) == pytest.approx(expected)
    assert metrics.brier(p, y, w) == pytest.approx(sk.brier_score_loss(y, p, sample_weight=w))
    inside = np.clip(p, 0.01, 0.99)
    expected = sk.log_loss(y, inside, sample_weight=w)
    assert metrics.log_loss(inside, y, w) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(rows):
    scores, labels = np.array(rows, float).T
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in scores[labels == 1]
        for b in scores[labels == 0]
    ]
    auc = metrics.roc_auc(scores, labels)
    assert auc == pytest.approx(np.mean(pairs)) if pairs else math.isnan(auc)


def test_closed_forms():
    assert metrics.roc_auc([1, 2, 3, 4], [0, 0, 1, 1]) == 1
    assert metrics.roc_auc([4, 3, 2, 1], [0, 0, 1, 1]) == 0
    assert metrics.roc_auc([5, 5, 5], [0, 1, 0]) == 0.5
    assert metrics.pr_auc([5, 5, 5], [0, 1, 0]) == pytest.approx(1 / 3)
    assert metrics.pr_auc([3, 2, 1], [1, 0, 1]) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert metrics.log_loss([0.25, 0.25], [1, 0]) == pytest.approx(-math.log(0.25 * 0.75) / 2)
    assert metrics.entropy(0.5) == pytest.approx(math.log(2))
    assert metrics.entropy(0.0) == 0
    # A constant score equal to the base rate costs exactly the entropy of the base rate.
    assert metrics.log_loss([0.25] * 4, [1, 0, 0, 0]) == pytest.approx(metrics.entropy(0.25))


@pytest.mark.parametrize("gap, spread", [(0.0, 1.0), (0.8, 1.0), (1.5, 0.5), (0.5, 3.0)])
def test_the_auc_of_two_normal_distributions(gap, spread):
    """Negatives N(0, 1), positives N(gap, spread): AUC = Phi(gap / sqrt(1 + spread^2)).

    Not drawn but laid out at the quantiles, so that nothing is left to luck; the second half of the
    test has ties: scores in steps, for which the sum over steps is the closed form.
    """
    n = 4000
    middle = norm.ppf((np.arange(n) + 0.5) / n)
    scores, labels = np.concatenate([middle, gap + spread * middle]), np.repeat([0, 1], n)
    truth = norm.cdf(gap / np.hypot(1, spread))
    assert metrics.roc_auc(scores, labels) == pytest.approx(truth, abs=5e-4)
    assert metrics.roc_auc(np.exp(scores), labels) == metrics.roc_auc(scores, labels)
    steps = np.arange(-60, 60)
    false, true = (
        np.diff(norm.cdf(np.append(steps, 60) / s, g / s)) for s, g in ((1, 0), (spread, gap))
    )
    below = np.cumsum(false) - false
    weighed = np.concatenate([false, true])
    auc = metrics.roc_auc(np.tile(steps, 2), np.repeat([0, 1], len(steps)), weighed)
    assert auc == pytest.approx(float(true @ (below + false / 2)))
    assert metrics.roc_auc(np.floor(scores), labels) == pytest.approx(auc, abs=2e-3)


@pytest.mark.parametrize("rate", [1.0, 0.5, 0.1])
def test_the_auc_of_two_exponential_distributions(rate):
    """Negatives of rate 1, positives of a lower rate: AUC = 1 / (1 + rate)."""
    n = 4000
    waits = -np.log1p(-(np.arange(n) + 0.5) / n)
    auc = metrics.roc_auc(np.concatenate([waits, waits / rate]), np.repeat([0, 1], n))
    assert auc == pytest.approx(1 / (1 + rate), abs=5e-4)


def test_one_sure_and_wrong_score_costs_much_but_not_infinitely_much():
    assert 10 < metrics.log_loss([1.0], [0]) < 20


def test_a_weight_is_the_same_as_so_many_copies():
    p, y, w = drawn(5, n=60, levels=9)
    copies = np.repeat(np.arange(60), w.astype(int))
    for metric in (metrics.roc_auc, metrics.pr_auc, metrics.log_loss, metrics.brier):
        assert metric(p, y, w) == pytest.approx(metric(p[copies], y[copies]))


def test_one_class_only():
    assert math.isnan(metrics.roc_auc([0.1, 0.2], [0, 0]))
    assert math.isnan(metrics.roc_auc([0.1, 0.2], [1, 1]))
    assert math.isnan(metrics.pr_auc([0.1, 0.2], [0, 0]))
    assert metrics.pr_auc([0.1, 0.2], [1, 1]) == 1
    assert metrics.roc_curve([0.1], [0]) == {"fpr": [], "tpr": []}
    assert metrics.pr_curve([0.1], [0]) == {"recall": [], "precision": []}
    assert math.isnan(metrics.log_loss([], []))
    assert math.isnan(metrics.calibration([], [])["error"])


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, np.nan], [0, 1], "1 of 2 scores are NaN"),
        ([0.1, 0.2], [0, 2], "labels must be 0 or 1"),
        ([0.1], [0, 1], "of one length"),
        ([0.1, 3.0], [0, 1], "pass the sigmoid"),
    ],
)
def test_arrays_that_cannot_be_right(scores, labels, message):
    with pytest.raises(IntentError, match=message):
        metrics.log_loss(scores, labels)


def test_calibration_in_bins_of_equal_count():
    # Ten groups at 0.1 of which 1 buys, ten at 0.5 of which 8 buy.
    p = np.repeat([0.1, 0.5], 10)
    y = np.array([1] + [0] * 9 + [1] * 8 + [0] * 2)
    result = metrics.calibration(p, y, bins=2)
    assert result["predicted"] == pytest.approx([0.1, 0.5])
    assert result["observed"] == pytest.approx([0.1, 0.8])
    assert result["groups"] == [10, 10]
    assert result["error"] == pytest.approx(0.5 * 0 + 0.5 * 0.3)
    # Equal scores are never torn apart, so the order of rows cannot matter.
    assert metrics.calibration(np.full(7, 0.3), [1] + [0] * 6)["groups"] == [7]
    p, y, _ = drawn(8, n=1000)
    assert metrics.calibration(p, y)["groups"] == [100] * 10


def test_calibration_error_sees_what_it_should():
    p, y, _ = drawn(9, n=20_000)
    assert metrics.calibration(p, y)["error"] < 0.01
    assert metrics.calibration(np.sqrt(p), y)["error"] > 0.1


@pytest.mark.parametrize("levels", [None, 7])
def test_curves_are_thinned_but_keep_their_area(levels):
    p, y, _ = drawn(11, n=20_000, levels=levels)
    roc = metrics.roc_curve(p, y, points=100)
    assert len(roc["fpr"]) <= 100
    assert (roc["fpr"][0], roc["tpr"][0], roc["fpr"][-1], roc["tpr"][-1]) == (0, 0, 1, 1)
    area = np.trapezoid(roc["tpr"], roc["fpr"])
    assert area == pytest.approx(metrics.roc_auc(p, y), abs=2e-3)
    pr = metrics.pr_curve(p, y, points=100)
    assert len(pr["recall"]) <= 100 and pr["recall"][-1] == 1
    assert pr["precision"][-1] == pytest.approx(y.mean())
    assert np.all(np.diff(pr["recall"]) >= 0) and np.all(np.diff(roc["fpr"]) >= 0)
