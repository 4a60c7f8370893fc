"""What a recalibration did to the probabilities, on days that it was not fitted on.

Intervals of a calibration error and of its change are basic ones, see `bootstrap.reflected`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intent import metrics
from intent.evaluation import bootstrap
from intent.evaluation.bootstrap import Statistic


def before_after(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    labels: np.ndarray,
    users,
    weights: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
    bins: int = 10,
) -> dict:
    """Figures of the same groups with scores before and after a recalibration.

    Args:
        before, after: task -> probabilities [n], in the order of the columns of `labels`.
        labels: [n, T]; users: [n]; weights: [n].

    Returns task -> {"calibration_error", "log_loss", "mean_score", "auc"}, each {"before", "after",
    "difference"} (after minus before) of {"value", "ci95"}; "base_rate": the same once.
    """
    codes, n_users = bootstrap.user_codes(users)
    found = {}
    for t, task in enumerate(before):
        y = labels[:, t].astype(float)
        sides = [_side(p, y, weights, codes, n_users, bins) for p in (before[task], after[task])]
        found[task] = _figures(sides, n_users, resamples, seed)
        base = bootstrap.means(y[:, None], codes, n_users, weights)
        found[task]["base_rate"] = bootstrap.estimate(base, n_users, resamples, seed)[0]
    return found


NAMES = ("calibration_error", "log_loss", "mean_score", "auc")


def _side(p, y, w, codes, n_users: int, bins: int) -> Statistic:
    """The statistic of `NAMES`; the bins stay those of all users."""
    p, y, w = metrics.check_probabilities(p, y, w)
    _, where = np.unique(metrics.bins_of(p, w, bins), return_inverse=True)
    k = int(where.max()) + 1
    cell = codes.astype(np.int64) * k + where
    gap_UK = np.bincount(cell, w * (y - p), n_users * k).reshape(n_users, k)
    groups_U = np.bincount(codes, w, n_users)
    means = bootstrap.means(np.stack([metrics.log_losses(p, y), p], axis=1), codes, n_users, w)
    ranked = bootstrap.ranking(p, y, codes, None if (w == 1).all() else w)
    ranked = bootstrap.unless_few(ranked, y, codes)

    def statistic(w_U: np.ndarray) -> np.ndarray:
        error = np.abs(w_U @ gap_UK).sum() / (w_U @ groups_U)
        return np.array([error, *means(w_U), ranked(w_U)[0]])

    return statistic


def _figures(sides: list[Statistic], n_users: int, resamples: int, seed: int) -> dict:
    before, after = sides
    value, drawn = bootstrap.paired(after, before, n_users, resamples, seed)
    found = {}
    for i, name in enumerate(NAMES):
        figures = []
        for k in range(3):
            ci95 = None if drawn is None else bootstrap.interval(drawn[:, k, i])
            if ci95 is not None and name == "calibration_error":
                basic = [2 * value[k, i] - end for end in reversed(ci95)]
                ci95 = bootstrap.reflected(ci95, value[k, i]) if k < 2 else basic
            known = np.isfinite(value[k, i])
            figures.append({
                "value": float(value[k, i]) if known else None,
                "ci95": None if ci95 is None else [float(end) for end in ci95],
            })  # fmt: skip
        found[name] = dict(zip(("after", "before", "difference"), figures, strict=True))
    return found
