"""How good scores are: ranking (ROC and PR), probabilities (log loss, Brier, calibration).

Pure NumPy on flat arrays. Letters: n groups, G distinct scores, K bins.

A figure that the data cannot give (an AUC where every label is the same) is NaN, because the
data may be sound and only small. Arrays that cannot be right (NaN scores, labels other than 0
and 1, different lengths, probabilities outside [0, 1]) raise IntentError.
"""

from __future__ import annotations

import numpy as np

from intent.errors import IntentError

# Probabilities are kept this far from 0 and 1 in the log loss, so that one sure and wrong score
# of a float32 model (whose sigmoid reaches exactly 1) costs much and not infinitely much.
EPSILON = 1e-7


def roc_auc(scores, labels, weights=None) -> float:
    """Area under the ROC curve, exactly: the chance that a random positive outranks a random
    negative, a tie counting one half. NaN where there is no positive or no negative.

    Args:
        scores: [n], any real numbers, larger for a more likely positive.
        labels: [n], 0 or 1.
        weights: [n], not negative; None for all alike.
    """
    true, false = _counts(scores, labels, weights)
    if true.sum() == 0 or false.sum() == 0:
        return float("nan")
    # Scores run downwards: a positive outranks every negative that comes after its own tie.
    after = false.sum() - np.cumsum(false)
    return float(np.sum(true * (after + false / 2)) / (true.sum() * false.sum()))


def pr_auc(scores, labels, weights=None) -> float:
    """Average precision: the sum over thresholds of (gain in recall) times precision.

    No interpolation, which would flatter. A model that knows nothing gets the base rate. NaN
    where there is no positive. Arguments as in `roc_auc`.
    """
    true, false = _counts(scores, labels, weights)
    if true.sum() == 0:
        return float("nan")
    tp, fp = np.cumsum(true), np.cumsum(false)
    hit = true > 0  # a threshold without a positive adds no recall, and may hold no weight at all
    return float(np.sum(true[hit] / true.sum() * tp[hit] / (tp[hit] + fp[hit])))


def log_loss(scores, labels, weights=None) -> float:
    """Mean of equation (5), in nats: -(y log p + (1 - y) log(1 - p)), p held `EPSILON` off 0 and 1.

    Arguments as in `roc_auc`, with scores in [0, 1]. NaN without any weight.
    """
    p, y, w = check_probabilities(scores, labels, weights)
    return _mean(log_losses(p, y), w)


def log_losses(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The log loss of each group [n]."""
    p = np.clip(p, EPSILON, 1 - EPSILON)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def brier(scores, labels, weights=None) -> float:
    """Mean squared error of the probabilities. Arguments as in `log_loss`."""
    p, y, w = check_probabilities(scores, labels, weights)
    return _mean((p - y) ** 2, w)


def entropy(rate: float) -> float:
    """The log loss in nats of always saying `rate` where that is the share of positives."""
    return max(0.0, float(-sum(q * np.log(q) for q in (rate, 1 - rate) if q > 0)))


def bins_of(scores: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """The bin [n] of each score, 0 .. bins - 1, with about the same weight in each.

    Equal scores share a bin, so the result does not hang on the order of the rows; a bin may stay
    empty where many scores are equal.
    """
    values, index = np.unique(scores, return_inverse=True)
    mass = np.bincount(index, weights, len(values))
    if mass.sum() == 0:
        return np.zeros(len(scores), int)
    middle = np.cumsum(mass) - mass / 2
    return np.minimum((middle / mass.sum() * bins).astype(int), bins - 1)[index]


def calibration(scores, labels, weights=None, bins: int = 10) -> dict:
    """Do groups that got 20 % buy in 20 % of cases? Bins of equal count.

    Returns lists over the bins that are not empty, in the order of the scores: "predicted" (mean
    score), "observed" (share of positives), "share" (of the weight, they sum to 1), "groups"
    (rows); and "error", the expected calibration error sum_k share_k |observed_k - predicted_k|.
    """
    p, y, w = check_probabilities(scores, labels, weights)
    where = bins_of(p, w, bins)
    mass, rows = np.bincount(where, w, bins), np.bincount(where, minlength=bins)
    full = mass > 0
    predicted = np.bincount(where, w * p, bins)[full] / mass[full]
    observed = np.bincount(where, w * y, bins)[full] / mass[full]
    share = mass[full] / mass.sum()
    error = float(np.sum(share * np.abs(observed - predicted))) if full.any() else float("nan")
    return {
        "predicted": predicted.tolist(),
        "observed": observed.tolist(),
        "share": share.tolist(),
        "groups": rows[full].tolist(),
        "error": error,
    }


def roc_curve(scores, labels, weights=None, points: int = 200) -> dict:
    """Points of the ROC curve for a plot, at most `points` of them, ends included.

    Returns {"fpr": [...], "tpr": [...]}, both empty where there is no positive or no negative.
    """
    true, false = _counts(scores, labels, weights)
    if true.sum() == 0 or false.sum() == 0:
        return {"fpr": [], "tpr": []}
    tpr = np.concatenate([[0.0], np.cumsum(true) / true.sum()])
    fpr = np.concatenate([[0.0], np.cumsum(false) / false.sum()])
    keep = _thin(tpr + fpr, points)
    return {"fpr": fpr[keep].tolist(), "tpr": tpr[keep].tolist()}


def pr_curve(scores, labels, weights=None, points: int = 200) -> dict:
    """Points of the precision-recall curve for a plot, at most `points`, by rising recall.

    Returns {"recall": [...], "precision": [...]}, both empty where there is no positive.
    """
    true, false = _counts(scores, labels, weights)
    if true.sum() == 0:
        return {"recall": [], "precision": []}
    tp, fp = np.cumsum(true), np.cumsum(false)
    some = tp + fp > 0
    recall, precision = tp[some] / true.sum(), tp[some] / (tp + fp)[some]
    keep = _thin(recall, points)
    return {"recall": recall[keep].tolist(), "precision": precision[keep].tolist()}


def check(scores, labels, weights=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and weights as float64 arrays [n]; IntentError if they cannot be right."""
    s, y = np.asarray(scores, float), np.asarray(labels, float)
    w = np.ones(s.shape) if weights is None else np.asarray(weights, float)
    if s.ndim != 1 or s.shape != y.shape or s.shape != w.shape:
        raise IntentError(
            "scores, labels and weights must be flat and of one length; "
            f"got shapes {s.shape}, {y.shape} and {w.shape}"
        )
    if not np.isfinite(s).all():
        raise IntentError(
            f"{np.sum(~np.isfinite(s)):,} of {len(s):,} scores are NaN or infinite: the model that "
            "made them has diverged; lower train.learning_rate or resume from an older checkpoint"
        )
    if not np.isin(y, (0, 1)).all():
        raise IntentError(f"labels must be 0 or 1; got {np.unique(y[~np.isin(y, (0, 1))])[:5]}")
    if not (np.isfinite(w).all() and (w >= 0).all()):
        raise IntentError("weights must be finite and not negative")
    return s, y, w


def check_probabilities(scores, labels, weights=None):
    """`check`, and IntentError unless every score is in [0, 1]."""
    p, y, w = check(scores, labels, weights)
    if len(p) and not (p.min() >= 0 and p.max() <= 1):
        raise IntentError(
            f"probabilities must lie in [0, 1]; got {p.min():g} to {p.max():g}: "
            "pass the sigmoid of the logits, not the logits"
        )
    return p, y, w


def _counts(scores, labels, weights) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of negatives at each distinct score, highest first: [G], [G]."""
    s, y, w = check(scores, labels, weights)
    values, index = np.unique(s, return_inverse=True)
    true = np.bincount(index, w * y, len(values))[::-1]
    false = np.bincount(index, w * (1 - y), len(values))[::-1]
    return true, false


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.sum(values * weights) / weights.sum()) if weights.sum() > 0 else float("nan")


def _thin(position: np.ndarray, points: int) -> np.ndarray:
    """Indices of at most `points` entries of rising `position`, evenly spread, both ends kept."""
    if len(position) <= points:
        return np.arange(len(position))
    marks = np.linspace(position[0], position[-1], points)
    index = np.searchsorted(position, marks)
    index[0], index[-1] = 0, len(position) - 1
    return np.unique(index)
