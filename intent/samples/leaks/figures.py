"""Rates with intervals, and the AUC of one column alone, from counts by bucket of users.

K buckets of users, n entries, L levels of a column.
"""

from __future__ import annotations

import numpy as np

Z = 1.96  # of a 95 % interval
PRIOR = 50.0  # groups that a level's mean is drawn to the base rate with
FEWEST_BUCKETS = 10  # with users, below which nothing is said of how far they differ


def rates(
    groups: np.ndarray, positives: np.ndarray, counted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of positives of each entry, and the 95 % interval of it: three arrays [n].

    Wilson's interval for as many independent groups as these are worth. Users are independent, a
    user's groups are not, so that number is p (1 - p) / V with V the cluster-robust variance over
    buckets of users. It is at most the number of groups, at least what would be left if the groups
    of a bucket were all alike; that matters where every group or none is positive and V is 0.

    Args:
        groups, positives: [K, n], weights where negatives were left out of the samples.
        counted: [n] groups, not weighted; at least one each.
    """
    total = groups.sum(axis=0)
    rate = positives.sum(axis=0) / total
    filled = np.maximum((groups > 0).sum(axis=0), 2)
    off = ((positives - rate * groups) ** 2).sum(axis=0) / total**2
    variance = off * filled / (filled - 1)
    least = total**2 / (groups**2.0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where(variance > 0, rate * (1 - rate) / variance, least)
    low, high = wilson(rate, np.clip(worth, np.minimum(least, counted), counted))
    return rate, low, high


def wilson(rate: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95 % interval of a share seen in `n` independent draws."""
    middle = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def column_auc(groups: np.ndarray, positives: np.ndarray) -> tuple[float | None, list | None]:
    """How well the positive rate of its level alone ranks the groups: AUC, 95 % interval.

    Cross-fitted: the rates are those of one half of the users, judged is the other half, and the
    two AUCs are averaged. So a rare level that says nothing gains nothing by its few groups. A
    level's rate is drawn to the base rate, as by `PRIOR` more groups; one that only the other half
    has gets the base rate. The interval is a jackknife that leaves out a bucket of users at a time.

    Args:
        groups, positives: [K, L].

    Returns: None for what cannot be told: without positives and negatives in both halves, and
        without users in `FEWEST_BUCKETS` buckets.
    """
    seen = groups.any(axis=0)
    groups, positives = groups[:, seen], positives[:, seen]
    halves = [(groups[h::2].sum(axis=0), positives[h::2].sum(axis=0)) for h in (0, 1)]
    value = _both_ways(*halves)
    filled = np.flatnonzero(groups.sum(axis=1))
    if not np.isfinite(value) or len(filled) < FEWEST_BUCKETS:
        return (float(value) if np.isfinite(value) else None), None
    left_out = np.empty(len(filled))
    for i, bucket in enumerate(filled):
        parts = list(halves)
        n, y = parts[bucket % 2]
        parts[bucket % 2] = n - groups[bucket], y - positives[bucket]
        left_out[i] = _both_ways(*parts)
    if not np.isfinite(left_out).all():
        return float(value), None
    spread = (len(filled) - 1) / len(filled) * ((left_out - left_out.mean()) ** 2).sum()
    half = Z * np.sqrt(spread)
    return float(value), [max(value - half, 0.0), min(value + half, 1.0)]


def _both_ways(first: tuple, second: tuple) -> float:
    return (_judged(*first, *second) + _judged(*second, *first)) / 2


def _judged(n: np.ndarray, y: np.ndarray, judged_n: np.ndarray, judged_y: np.ndarray) -> float:
    """AUC of the rates y / n at the groups `judged_n`, of which `judged_y` are positive."""
    base = y.sum() / max(n.sum(), 1)
    score = (y + PRIOR * base) / (n + PRIOR)
    return _ranking(score, judged_y, judged_n - judged_y)


def _ranking(score: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    """AUC where so many positives and negatives have each score; NaN without either.

    As `intent.metrics.roc_auc`, for a few levels and many times: a tie counts one half.
    """
    order = np.argsort(score)
    score, positive, negative = score[order], positive[order], negative[order]
    total = positive.sum() * negative.sum()
    if not total:
        return float("nan")
    first = np.flatnonzero(np.diff(score, prepend=-1.0))
    positive, negative = np.add.reduceat(positive, first), np.add.reduceat(negative, first)
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / total)
