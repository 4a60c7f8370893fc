"""Confidence intervals by resampling users.

The groups of one user resemble one another, so a thousand groups of ten users say little more than
ten users do. Each resample therefore draws whole users with replacement; all the groups of a user
get one weight, the number of times that the user was drawn.

A statistic is a function from the users' weights [U] to K figures. The ones here are prepared once
(sorted, or summed by user) so that a resample costs a few passes over memory, or none over groups.

Letters: n groups, U users, P positives, M negatives, R resamples, K figures of a statistic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from intent.errors import IntentError

Statistic = Callable[[np.ndarray], np.ndarray]

# With fewer users than this, resampling them describes the sample and not the population. A ranking
# needs so many with a positive group, and so many with a negative one: to draw 500 users anew of
# whom 4 ever buy is to draw those 4.
FEWEST_USERS = 10


def user_codes(users) -> tuple[np.ndarray, int]:
    """Any names of users [n] as codes 0 .. U-1 [n], and U."""
    names, codes = np.unique(np.asarray(users), return_inverse=True)
    return codes.reshape(-1).astype(np.int32), len(names)


def user_weights(n_users: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """For each resample, how often each user was drawn, [U] float64, summing to U."""
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = rng.integers(0, n_users, n_users)
        yield np.bincount(drawn, minlength=n_users).astype(float)


def resample(statistic: Statistic, n_users: int, resamples: int = 1000, seed: int = 0):
    """The statistic of every resample, [R, K]; the same numbers for the same arguments."""
    return np.stack([statistic(w_U) for w_U in user_weights(n_users, resamples, seed)])


def interval(values_R: np.ndarray) -> list[float] | None:
    """[low, high] that holds the middle 95 % of the resamples.

    None if more than one resample in twenty has no value (is NaN), as happens when positives are
    so few that a resample can miss them all: what is left would be a selection. None too if all are
    equal (no positive at all, a perfect ranking): an interval without width would claim certainty
    about users that were never seen.
    """
    defined = values_R[np.isfinite(values_R)]
    if len(defined) < 0.95 * len(values_R) or not len(defined) or np.ptp(defined) == 0:
        return None
    return np.quantile(defined, [0.025, 0.975]).tolist()


def reflected(ci95: list[float] | None, value: float) -> list[float] | None:
    """The basic interval [2 v - high, 2 v - low], not below 0, of a figure that noise makes larger.

    A calibration error is never negative, so noise adds to it, and drawing users anew adds as much
    again: the middle of the resamples lies above the value v. This takes the noise off.
    """
    return ci95 and [max(2 * value - end, 0.0) for end in reversed(ci95)]


def ranking(
    scores: np.ndarray, labels: np.ndarray, codes: np.ndarray, weights: np.ndarray | None = None
) -> Statistic:
    """The statistic (ROC AUC, average precision), exact with ties, equal to `metrics`.

    Scores are sorted here, once. For a positive i, let below_i be the weight of the negatives that
    score less, and tied_i of those that score the same: AUC is the weighted mean of
    (below_i + tied_i / 2) / all negatives. With the weights of positives and of negatives that
    score at least as much, TP_i and FP_i, average precision is the weighted mean of
    TP_i / (TP_i + FP_i).

    A group weighs what its user does, times its own weight (`weights` [n], 1 by default).
    """
    negative, positive = labels == 0, labels == 1
    order = np.argsort(scores[negative], kind="stable")
    negative_scores = scores[negative][order]
    negative_users = codes[negative][order]
    negative_weights = None if weights is None else weights[negative][order]
    order = np.argsort(scores[positive], kind="stable")
    positive_scores = scores[positive][order]
    positive_users = codes[positive][order]
    positive_weights = None if weights is None else weights[positive][order]
    first = np.searchsorted(negative_scores, positive_scores, "left")
    last = np.searchsorted(negative_scores, positive_scores, "right")
    first_positive = np.searchsorted(positive_scores, positive_scores, "left")

    def statistic(w_U: np.ndarray) -> np.ndarray:
        w_M, w_P = w_U[negative_users], w_U[positive_users]
        if weights is not None:
            w_M, w_P = w_M * negative_weights, w_P * positive_weights
        sums_M = _running_sum(w_M)
        sums_P = _running_sum(w_P)
        true, false = sums_P[-1], sums_M[-1]
        if true == 0:
            return np.array([np.nan, np.nan])
        below_P = (sums_M[first] + sums_M[last]) / 2
        auc = w_P @ below_P / (true * false) if false else np.nan
        tp_P = true - sums_P[first_positive]
        fp_P = false - sums_M[first]
        drawn = w_P > 0  # where tp is not 0
        return np.array([auc, w_P[drawn] @ (tp_P[drawn] / (tp_P[drawn] + fp_P[drawn])) / true])

    return statistic


def unless_few(statistic: Statistic, labels: np.ndarray, codes: np.ndarray) -> Statistic:
    """The same, but NaN for each resample where fewer than `FEWEST_USERS` users have a positive
    group, or a negative one: so no interval comes of them."""
    if min(len(np.unique(codes[labels == label])) for label in (0, 1)) >= FEWEST_USERS:
        return statistic
    return lambda w_U: statistic(w_U) * np.where((w_U == 1).all(), 1.0, np.nan)


def means(
    values_nK: np.ndarray, codes: np.ndarray, n_users: int, weights: np.ndarray | None = None
) -> Statistic:
    """The statistic of K means over groups, from sums by user: no pass over groups a resample.

    `weights` are of the groups, [n], 1 by default.
    """
    w_n = np.ones(len(codes)) if weights is None else weights
    sums_UK = np.stack([np.bincount(codes, w_n * v, n_users) for v in values_nK.T], axis=1)
    groups_U = np.bincount(codes, w_n, n_users)

    def statistic(w_U: np.ndarray) -> np.ndarray:
        return w_U @ sums_UK / (w_U @ groups_U)

    return statistic


def auc_interval(scores, labels, users, *, resamples: int = 1000, seed: int = 0) -> dict:
    """ROC AUC and its interval: {"value": float, "ci95": [low, high] or None}.

    None with fewer than `FEWEST_USERS` users of either class. Arguments are [n]; users may be names
    or codes.
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    codes, n_users = user_codes(users)
    if not len(scores) == len(labels) == len(codes):
        raise IntentError(
            "scores, labels and users must have one length; "
            f"got {len(scores)}, {len(labels)} and {len(codes)}"
        )
    statistic = unless_few(ranking(scores, labels, codes), labels, codes)
    return estimate(statistic, n_users, resamples, seed)[0]


def estimate(statistic: Statistic, n_users: int, resamples: int, seed: int) -> list[dict]:
    """Each of the K figures over all users, with its interval: [{"value", "ci95"}, ...].

    With fewer than `FEWEST_USERS` users every "ci95" is None.
    """
    values = statistic(np.ones(n_users)).tolist()
    if n_users < FEWEST_USERS:
        return [{"value": value, "ci95": None} for value in values]
    samples_RK = resample(statistic, n_users, resamples, seed)
    return [{"value": v, "ci95": interval(s)} for v, s in zip(values, samples_RK.T, strict=True)]


def paired(
    one: Statistic, other: Statistic, n_users: int, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Two statistics and one minus the other, [3, K]: over all users, and [R, 3, K] resampled.

    The same users are drawn for both. None instead of resamples with fewer than `FEWEST_USERS`.
    """

    def together(w_U: np.ndarray) -> np.ndarray:
        a, b = one(w_U), other(w_U)
        return np.stack([a, b, a - b])

    value = together(np.ones(n_users))
    enough = n_users >= FEWEST_USERS
    return value, resample(together, n_users, resamples, seed) if enough else None


def _running_sum(values: np.ndarray) -> np.ndarray:
    """[0, v0, v0 + v1, ...], one longer than `values`."""
    out = np.zeros(len(values) + 1)
    np.cumsum(values, out=out[1:])
    return out
