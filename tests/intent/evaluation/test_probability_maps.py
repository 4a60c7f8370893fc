from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from intent import metrics
from intent.errors import IntentError
from intent.evaluation.probability_maps import (
    FITS,
    Isotonic,
    Temperature,
    fit_isotonic,
    fit_temperature,
    logit,
    map_of,
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shop(n: int = 20_000, seed: int = 0, scale: float = 2.0, shift: float = 0.8):
    """Scores that are too sure and too high, and labels drawn from the truth."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-2.0, 1.0, n)
    labels = (rng.random(n) < sigmoid(z)).astype(int)
    return sigmoid(scale * z + shift), labels, sigmoid(z)


def test_temperature_finds_the_scale_and_the_shift_that_were_put_in():
    said, labels, truth = shop()
    how = fit_temperature(said, labels)
    assert how.scale == pytest.approx(1 / 2.0, rel=0.06)
    assert how.shift == pytest.approx(-0.8 / 2.0, abs=0.1)
    assert np.abs(how(said) - truth).max() < 0.05
    assert np.abs(said - truth).max() > 0.2  # what it had to mend


def test_temperature_is_the_logistic_regression_on_the_logit():
    said, labels, _ = shop(2000)
    weights = np.random.default_rng(1).integers(1, 4, 2000).astype(float)
    how = fit_temperature(said, labels, weights)
    plain = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000)
    plain.fit(logit(said)[:, None], labels, sample_weight=weights)
    assert how.scale == pytest.approx(plain.coef_[0, 0], rel=1e-3)
    assert how.shift == pytest.approx(plain.intercept_[0], abs=1e-3)


@pytest.mark.parametrize("method", list(FITS))
def test_the_order_stays_so_no_ranking_figure_moves(method):
    said, labels, _ = shop(5000)
    said[:3] = 0.0, 1.0, 1 - 2.0**-20  # what a float32 sigmoid says at its ends
    how = FITS[method](*shop(3000, seed=5)[:2])
    better = how(said)
    assert ((better >= 0) & (better <= 1)).all()
    order = np.argsort(said)
    assert (np.diff(better[order]) >= 0).all()
    assert metrics.roc_auc(better, labels) == pytest.approx(metrics.roc_auc(said, labels), abs=1e-9)
    assert metrics.pr_auc(better, labels) == pytest.approx(metrics.pr_auc(said, labels), abs=1e-6)


def test_isotonic_is_monotone_and_mends_a_bend_that_temperature_cannot():
    rng = np.random.default_rng(2)
    truth = rng.beta(1, 4, 40_000)
    labels = (rng.random(len(truth)) < truth).astype(int)
    said = np.where(truth < 0.2, 0.6 * truth, 0.12 + 0.05 * (truth - 0.2))  # bent at 0.2
    how, straight = fit_isotonic(said, labels), fit_temperature(said, labels)
    assert (np.diff(how.x) > 0).all() and (np.diff(how.y) > 0).all()
    assert (how.x[0], how.x[-1]) == (0, 1) and 0 < how.y[0] and how.y[-1] < 1
    fresh = (np.random.default_rng(3).random(len(truth)) < truth).astype(int)
    error = {
        name: metrics.calibration(p, fresh)["error"]
        for name, p in {"said": said, "iso": how(said), "line": straight(said)}.items()
    }
    assert error["iso"] < 0.01 < error["line"] < error["said"]


@pytest.mark.parametrize("method", list(FITS))
def test_shuffled_labels_give_the_base_rate_to_everybody(method):
    """The control: where scores tell nothing, neither may the map."""
    said, labels, _ = shop()
    shuffled = np.random.default_rng(4).permutation(labels)
    better, base = FITS[method](said, shuffled)(said), labels.mean()
    middle = np.quantile(better, [0.05, 0.95])
    assert np.abs(middle - base).max() < 0.25 * base
    true = np.quantile(FITS[method](said, labels)(said), [0.05, 0.95])
    assert true[1] > 1.5 * base and true[0] < 0.5 * base


@pytest.mark.parametrize("method", list(FITS))
def test_weights_stand_for_groups_that_were_left_out(method):
    said, labels, truth = shop(60_000)
    kept = (labels == 1) | (np.random.default_rng(5).random(len(labels)) < 0.2)
    weights = np.where(labels == 1, 1.0, 5.0)[kept]
    how = FITS[method](said[kept], labels[kept], weights)
    assert how(said).mean() == pytest.approx(truth.mean(), rel=0.06)
    wrong = FITS[method](said[kept], labels[kept])
    assert wrong(said).mean() > 2 * truth.mean()


@pytest.mark.parametrize("method", list(FITS))
def test_scores_that_are_far_too_sure_get_no_certainty(method):
    """A float32 sigmoid says exactly 1, and 1e-12 to a quarter; of both, some are wrong."""
    said, labels, _ = shop(scale=8.0, shift=8.0)
    said = said.astype(np.float32).astype(float)
    how = FITS[method](said, labels)
    fresh, bought, truth = shop(50_000, seed=1, scale=8.0, shift=8.0)
    fresh = fresh.astype(np.float32).astype(float)
    assert (fresh == 1).sum() > 30
    better = how(fresh)
    assert 0 < better.min() and better.max() < 0.999
    assert 0 < how(0.0) and how(1.0) < 0.999
    best = metrics.log_loss(truth, bought)
    assert metrics.log_loss(better, bought) < best + 0.002 < metrics.log_loss(fresh, bought) - 0.5


def test_few_buyers_make_few_steps_and_no_certainty():
    rng = np.random.default_rng(6)
    said = rng.random(300) * 0.1
    labels = np.zeros(300, int)
    labels[np.argsort(said)[-12:]] = 1  # the best twelve, all of them
    how = fit_isotonic(said, labels)
    assert sum(said.min() < x < said.max() for x in how.x) < 8
    assert 0 < how(said).min() and how(said).max() < 1


def test_too_few_of_either_kind_is_an_error():
    said, labels, _ = shop(2000)
    labels[:] = 0
    labels[:9] = 1
    for fit in FITS.values():
        with pytest.raises(IntentError, match="9 positive and 1,991 negative groups, expected at"):
            fit(said, labels)


@pytest.mark.parametrize(
    "how", [Temperature(0.5, -1.0), Isotonic((0.0, 0.3, 1.0), (0.0, 0.1, 1.0))]
)
def test_there_and_back(how):
    assert map_of(how.to_dict()) == how
    p = np.array([0.0, 0.2, 0.3, 1.0])
    np.testing.assert_allclose(how(p), map_of(how.to_dict())(p))
