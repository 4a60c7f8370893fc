"""Rising maps from a score to a better probability, and how they are fitted.

Both keep the order of the scores, so that no ranking figure moves:

temperature  sigmoid(scale * logit(p) + shift): temperature scaling with a bias, which is Platt's
             scaling on the logit. Two numbers; mends scores that are too sure, too timid, or whose
             odds are off by a factor.
isotonic     straight lines between knots (score, share of positives), which are the blocks of an
             isotonic regression. Mends any bend, and needs more positives for it.

Letters: n groups, K knots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intent.errors import IntentError
from intent.metrics import bins_of, check_probabilities

# Scores are kept so far from 0 and 1 before a logit is taken. The upper end is the float32 next to
# 1, so that a device, which knows none between the two, gives the same.
LOWEST, HIGHEST = 1e-30, 1 - 2.0**-24
# What a scale may be. It must be above 0, or the order would turn round.
SCALES = (0.01, 100.0)
FEWEST = 10  # positives, and negatives, that a fit needs
MOST_BINS, POSITIVES_PER_BIN = 64, 5
# Logits beyond the first and the last block at which the table is continued.
TAIL = np.array([*range(1, 11), 15, 20, 30, 40, 50])


@dataclass(frozen=True)
class Temperature:
    """p -> sigmoid(scale * logit(p) + shift), `scale` > 0."""

    scale: float
    shift: float

    def __call__(self, p: np.ndarray) -> np.ndarray:
        """Probabilities of any shape, float64."""
        return _sigmoid(self.scale * logit(p) + self.shift)

    def to_dict(self) -> dict:
        """For JSON."""
        return {"scale": self.scale, "shift": self.shift}


@dataclass(frozen=True)
class Isotonic:
    """Linear between knots (x, y), both rising; x from 0 to 1, y between them."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, p: np.ndarray) -> np.ndarray:
        """Probabilities of any shape, float64."""
        return np.interp(np.asarray(p, np.float64), self.x, self.y)

    def to_dict(self) -> dict:
        """For JSON."""
        return {"x": list(self.x), "y": list(self.y)}


Map = Temperature | Isotonic


def map_of(data: dict) -> Map:
    """The inverse of `to_dict`."""
    if "scale" in data:
        return Temperature(float(data["scale"]), float(data["shift"]))
    return Isotonic(tuple(map(float, data["x"])), tuple(map(float, data["y"])))


def logit(p) -> np.ndarray:
    """log(p / (1 - p)), p held off 0 and 1."""
    p = np.clip(np.asarray(p, np.float64), LOWEST, HIGHEST)
    return np.log(p) - np.log1p(-p)


def fit_temperature(scores, labels, weights=None, surest: float = SCALES[1]) -> Temperature:
    """The scale and the shift with the least log loss.

    Args:
        scores: [n] probabilities.
        labels: [n] 0 or 1.
        weights: [n] how many groups each stands for; None for one.
        surest: the scale at most; 1 for a map that makes no score surer.

    Raises IntentError with fewer than `FEWEST` positives or negatives.
    """
    from scipy.optimize import minimize

    p, y, w = _enough(scores, labels, weights)
    z, w = logit(p), w / w.sum()

    def loss(theta):
        s = theta[0] * z + theta[1]
        off = w * (_sigmoid(s) - y)
        return w @ (np.logaddexp(0, s) - y * s), np.array([off @ z, off.sum()])

    bounds = [(SCALES[0], surest), (-50.0, 50.0)]
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000}
    found = minimize(loss, [1.0, 0.0], jac=True, bounds=bounds, options=options)
    return Temperature(*map(float, found.x))


def fit_isotonic(scores, labels, weights=None) -> Isotonic:
    """Isotonic regression of the labels on bins of the scores; arguments as in `fit_temperature`.

    Bins of equal count, at least `POSITIVES_PER_BIN` positives each on average, keep single groups
    from making steps. In each bin one more group is assumed that buys at the base rate. A knot
    stands at the mean score of a block. Beyond the first and the last block, where nothing was
    seen, it goes on as a temperature does that makes no score surer: so no probability is 0 or 1,
    whatever the score.
    """
    from sklearn.isotonic import isotonic_regression

    p, y, w = _enough(scores, labels, weights)
    base = w @ y / w.sum()
    bins = int(np.clip(y.sum() // POSITIVES_PER_BIN, 2, MOST_BINS))
    where = bins_of(p, w, bins)
    mass = np.bincount(where, w, bins)
    full = mass > 0
    mass = mass[full]
    x = np.bincount(where, w * p, bins)[full] / mass
    rate = (np.bincount(where, w * y, bins)[full] + base) / (mass + 1)
    rate = isotonic_regression(rate, sample_weight=mass + 1)
    block = np.cumsum(np.concatenate([[0], np.diff(rate) > 0]).astype(int))
    knots_x = np.bincount(block, mass * x) / np.bincount(block, mass)
    knots_y = rate[np.unique(block, return_index=True)[1]]
    knots_x = np.clip(knots_x, LOWEST, HIGHEST)
    scale = fit_temperature(p, y, w, surest=1.0).scale

    def beyond(block: int, ends: np.ndarray) -> np.ndarray:
        """What is made of the scores whose logits are `ends`."""
        return _sigmoid(logit(knots_y[block]) + scale * (ends - logit(knots_x[block])))

    low, high = logit(knots_x[0]) - TAIL[::-1], logit(knots_x[-1]) + TAIL
    low = np.concatenate([logit([0.0]), low[low > logit(0.0)]])
    high = np.concatenate([high[high < logit(1.0)], logit([1.0])])
    at_low, at_high = beyond(0, low), beyond(-1, high)
    knots_x = np.concatenate([[0.0], _sigmoid(low[1:]), knots_x, _sigmoid(high[:-1]), [1.0]])
    knots_y = np.concatenate([at_low, knots_y, at_high])
    rising = np.concatenate([[True], (np.diff(knots_x) > 0) & (np.diff(knots_y) > 0)])
    return Isotonic(tuple(knots_x[rising].tolist()), tuple(knots_y[rising].tolist()))


FITS = {"temperature": fit_temperature, "isotonic": fit_isotonic}


def _enough(scores, labels, weights):
    p, y, w = check_probabilities(scores, labels, weights)
    positives, negatives = int(y.sum()), int(len(y) - y.sum())
    if min(positives, negatives) < FEWEST:
        raise IntentError(
            f"the days to calibrate on hold {positives:,} positive and {negatives:,} negative "
            f"groups, expected at least {FEWEST} of each: take samples of more users, or more "
            "days with --days"
        )
    return p, y, w


def _sigmoid(s):
    return np.exp(-np.logaddexp(0, -np.asarray(s, np.float64)))
