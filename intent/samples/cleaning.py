"""Cleaning: who is no human, what came out of order, where sessions begin, which cuts are kept.

Pure functions on sorted keys (`features.history.key`), vectorized over all users of a chunk. What
is said of a user depends on that user's rows alone, so no partitioning changes it. The rules and
the order in which they are applied: docs/cleaning.md.
"""

from __future__ import annotations

import numpy as np

from intent.features.history import TIME_BITS, TIME_MASK
from intent.samples.cuts import mix

HOUR_MS = 3_600_000
PAUSE_MS = HOUR_MS // 2  # a longer gap is a pause between two sessions, whoever makes it
# What clocks of logs count in. A gap of one tick says nothing about who made it.
CLOCKS_MS = np.array([1, 10, 100, 1_000, 10_000, 60_000])

_GOLDEN = 0x9E3779B97F4A7C15
_NEGATIVES = 0x6E65676174697665  # tells this draw from that of the cuts, which has the same seed


def bots(
    moments: np.ndarray, users: int, per_minute: float | None, regularity: float | None, least: int
) -> np.ndarray:
    """Whether each user acts faster than people do, or more evenly, bool [users].

    Args:
        moments: sorted keys of all actions of all views, repetitions included.
        users: how many; user codes are below it.
        per_minute: mean rate over an hour that makes a bot; None for no such rule. An hour, so that
            a burst of swipes does not make one: see `faster`.
        regularity: spread of the gaps below which a user is a bot; None for no such rule: `even`.
        least: nobody with fewer actions (for `even`: gaps) is called a bot.
    """
    found = np.zeros(users, bool)
    if per_minute is not None:
        enough = np.bincount(moments >> TIME_BITS, minlength=users) >= least
        found |= faster(moments, users, per_minute) & enough
    if regularity is not None:
        found |= even(moments, users, regularity, least)
    return found


def faster(moments: np.ndarray, users: int, per_minute: float) -> np.ndarray:
    """Whether a user has an hour, begun anywhere, with more than 60 * `per_minute` actions.

    Arguments as in `bots`. Returns bool [users].
    """
    allowed = int(per_minute * 60)
    found = np.zeros(users, bool)
    last, first = moments[allowed:], moments[: max(len(moments) - allowed, 0)]
    user = first >> TIME_BITS
    found[user[(last - first < HOUR_MS) & (last >> TIME_BITS == user)]] = True
    return found


def even(moments: np.ndarray, users: int, regularity: float, least: int) -> np.ndarray:
    """Whether the gaps between a user's moments are too much alike for a human.

    Measured as (d9 - d1) / (d9 + d1), where d1 and d9 are the first and the ninth decile of the
    gaps up to `PAUSE_MS`: 0 for a timer, 0.25 for one with 20 % of lognormal jitter, 0.91 for a
    Poisson process. Unlike the coefficient of variation, it does not forgive a timer that rests
    now and then. Where d9 is one tick of the user's clock, the log is too coarse to tell and the
    user is no bot.

    Arguments as in `bots`. Returns bool [users].
    """
    found = np.zeros(users, bool)
    distinct = moments[_changes(moments)]
    user, gap = distinct[1:] >> TIME_BITS, np.diff(distinct)
    inside = (user == distinct[:-1] >> TIME_BITS) & (gap <= PAUSE_MS)
    gaps = np.bincount(user[inside], minlength=users)
    ordered = np.sort(user[inside] << TIME_BITS | gap[inside]) & TIME_MASK
    judged = np.flatnonzero(gaps >= max(least, 1))
    begin, tenth = (np.cumsum(gaps) - gaps)[judged], gaps[judged] // 10
    low, high = ordered[begin + tenth], ordered[begin + gaps[judged] - 1 - tenth]
    suspect = (high - low) / (high + low) < regularity
    judged, high = judged[suspect], high[suspect]
    found[judged[high > _tick(distinct, judged)]] = True
    return found


def out_of_order(by_arrival: np.ndarray) -> np.ndarray:
    """Whether a row of the same user that arrived earlier has a later time, bool [rows].

    Args:
        by_arrival: keys in the order (user, arrival).
    """
    # Codes of users ascend, so the highest key so far is this user's unless it is the row itself.
    return np.maximum.accumulate(by_arrival) > by_arrival


def session_starts(moments: np.ndarray, gap_ms: int) -> np.ndarray:
    """Keys of the first action of each session, sorted: a gap longer than `gap_ms` lies before it.

    Args:
        moments: sorted keys of all actions of all views.
    """
    if not len(moments):
        return moments
    other = np.diff(moments >> TIME_BITS) != 0
    return moments[np.r_[True, other | (np.diff(moments) > gap_ms)]]


def session_of(cuts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Key of the start of the session that each cut lies in, or that came last before it, [cuts].

    A cut before its user's first action gets its own key: there is nothing to reach back to.

    Args:
        cuts: keys, in any order.
        starts: of `session_starts`.
    """
    begun = np.append(starts, -1)[np.searchsorted(starts, cuts, "right") - 1]
    return np.where(begun >> TIME_BITS == cuts >> TIME_BITS, begun, cuts)


def keep_negatives(
    cuts: np.ndarray, user_hash: np.ndarray, labels: np.ndarray, rate: float, seed: int
) -> np.ndarray:
    """Which cuts are kept, bool: all with a positive label, and a share `rate` of the others.

    The lot of a cut is a pure function of (seed, the user's hash, the cut's time), so it does not
    depend on which other users are there. What a lower rate keeps, a higher one keeps too. How the
    scores are put right again: `intent.samples.undersampling`.

    Args:
        cuts: keys.
        user_hash: uint64 hash of each user code.
        labels: [cuts, tasks] of 0 and 1.
        rate: in (0, 1]; 1 keeps all.
        seed: of the draw.
    """
    stream = mix(user_hash[cuts >> TIME_BITS] + np.uint64((_GOLDEN * seed + _NEGATIVES) % 2**64))
    lot = mix(stream + np.uint64(_GOLDEN) * (cuts & TIME_MASK).astype(np.uint64))
    below_one = (lot >> np.uint64(11)) * 2.0**-53
    return labels.any(axis=1) | (below_one < rate)


def _tick(distinct: np.ndarray, users: np.ndarray) -> np.ndarray:
    """The coarsest of `CLOCKS_MS` that all times of a user are multiples of, for each of `users`.

    Args:
        distinct: sorted keys.
        users: codes, ascending; each has a key.
    """
    if not len(users):
        return np.zeros(0, np.int64)
    mine = distinct[np.isin(distinct >> TIME_BITS, users)]
    grain = np.gcd.reduceat(mine & TIME_MASK, np.searchsorted(mine, users << TIME_BITS))
    return np.where(grain[:, None] % CLOCKS_MS == 0, CLOCKS_MS, 1).max(axis=1)


def _changes(values: np.ndarray) -> np.ndarray:
    """Whether each value differs from the one before it; the first does."""
    return np.r_[True, values[1:] != values[:-1]][: len(values)]
