"""Gain and lift: of those who will buy, how many are among the best-scored few per cent?

Groups are ranked by score. Where the cut goes through groups of one score, it takes a part of each,
so nothing hangs on the order of the rows. Letters: n groups, G distinct scores, K shares, U users.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intent import metrics
from intent.evaluation import bootstrap
from intent.evaluation.bootstrap import Statistic

SHARES = (0.01, 0.05, 0.10, 0.20)  # of the groups, which figures are given of
POINTS = tuple(np.round(np.concatenate([np.arange(0, 10) / 100, np.arange(2, 21) / 20]), 2))


def gains(
    scores: np.ndarray,
    labels: np.ndarray,
    codes: np.ndarray,
    shares: Sequence[float],
    weights: np.ndarray | None = None,
) -> Statistic:
    """The statistic (share of positives found in the best-scored share) for each share, K figures.

    Scores are sorted here, once; arguments are [n], codes as of `bootstrap.user_codes`.
    """
    order = np.argsort(-scores, kind="stable")
    users, positive = codes[order], labels[order] == 1
    own = None if weights is None else weights[order]
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each score, [G]
    wanted = np.asarray(shares, float)

    def statistic(w_U: np.ndarray) -> np.ndarray:
        w_n = w_U[users]
        if own is not None:
            w_n = w_n * own
        taken = np.concatenate([[0.0], np.cumsum(w_n)[last]])
        found = np.concatenate([[0.0], np.cumsum(w_n * positive)[last]])
        if found[-1] == 0:
            return np.full(len(wanted), np.nan)
        return np.interp(wanted * taken[-1], taken, found) / found[-1]

    return statistic


def gain(
    scores: np.ndarray,
    labels: np.ndarray,
    users,
    weights: np.ndarray | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Gain and lift of one task, with intervals from resampled users.

    Args:
        scores: [n] probabilities; labels: [n] 0 or 1; users: [n] names or codes.
        weights: [n] how many groups each stands for; None for one.

    Returns {"at": [{"share", "found", "rate", "lift"}], "curve": {"share", "found", "ci95"}}, valid
    but for NaN: "found" is the estimate {"value", "ci95"} of the share of all positives that the
    best-scored share holds, "rate" that of the share of positives in it, "lift" that of rate over
    base rate, which is found over share.
    """
    p, y, w = metrics.check_probabilities(scores, labels, weights)
    codes, n_users = bootstrap.user_codes(users)
    found = gains(p, y, codes, SHARES + POINTS, None if (w == 1).all() else w)
    found = bootstrap.unless_few(found, y, codes)
    base = bootstrap.means(y[:, None], codes, n_users, w)

    def together(w_U: np.ndarray) -> np.ndarray:
        """Found at each of `SHARES` and `POINTS`, then the rate at each of `SHARES`."""
        share_K = found(w_U)
        k = len(SHARES)
        return np.concatenate([share_K, share_K[:k] / np.array(SHARES) * base(w_U)])

    figures = bootstrap.estimate(together, n_users, resamples, seed)
    k = len(SHARES)
    points = figures[k : k + len(POINTS)]
    return {
        "at": [
            {"share": s, "found": figures[i], "rate": figures[k + len(POINTS) + i],
             "lift": _over(figures[i], s)}
            for i, s in enumerate(SHARES)
        ],
        "curve": {
            "share": [float(s) for s in POINTS],
            "found": [f["value"] for f in points],
            "ci95": [f["ci95"] for f in points],
        },
    }  # fmt: skip


def _over(figure: dict, share: float) -> dict:
    ends = figure["ci95"]
    return {
        "value": figure["value"] / share,
        "ci95": None if ends is None else [end / share for end in ends],
    }
