"""Cuts: the moments t0 at which a user's life is looked at, and what came after them.

Section 6.1: every user is cut at random moments; the three windows of a group end at the same
time. We draw among the moments at which the user did something, at most `per_day` a day.
"""

from __future__ import annotations

import numpy as np

from intent.features.history import TIME_BITS, TIME_MASK
from intent.schema import DAY_MS, Task

_GOLDEN = 0x9E3779B97F4A7C15


def mix(x: np.ndarray) -> np.ndarray:
    """The finalizer of splitmix64: a bijection of uint64 whose output bits look independent."""
    x = np.asarray(x, np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def draw(moments: np.ndarray, user_hash: np.ndarray, per_day: int, seed: int) -> np.ndarray:
    """Draw at most `per_day` moments of each user and day, without replacement.

    The draw is a pure function of (seed, the user's hash, day, the moment's rank within the day):
    it does not depend on which other users are there, on partitions or on retries.

    Args:
        moments: sorted distinct keys (user << TIME_BITS | ms), [moments].
        user_hash: uint64 hash of each user code.

    Returns: the drawn keys, sorted.
    """
    if not len(moments):
        return moments
    day_key = (moments >> TIME_BITS << TIME_BITS) | (moments & TIME_MASK) // DAY_MS
    starts = np.flatnonzero(np.r_[True, np.diff(day_key) != 0])
    sizes = np.diff(np.r_[starts, len(moments)])
    group = np.repeat(np.arange(len(starts)), sizes)
    rank = np.arange(len(moments)) - starts[group]
    user, day = moments[starts] >> TIME_BITS, day_key[starts] & TIME_MASK
    stream = mix(user_hash[user] + np.uint64(_GOLDEN * seed % 2**64))
    stream = mix(stream + np.uint64(_GOLDEN) * day.astype(np.uint64))
    lot = mix(stream[group] + np.uint64(_GOLDEN) * (rank + 1).astype(np.uint64))
    drawn = np.sort(_lowest(lot, group, sizes, per_day))
    return moments[drawn]


def _lowest(lot: np.ndarray, group: np.ndarray, sizes: np.ndarray, most: int) -> np.ndarray:
    """Positions of the `most` lowest lots of each group, in no order.

    Only lots that are low enough to have a chance are sorted: some 90 of a day's 2,000 for 30 cuts.
    """
    share = np.minimum(1, (most + 8 * most**0.5 + 16) / sizes)
    candidate = (lot >> np.uint64(11)) * 2.0**-53 <= share[group]
    found = np.bincount(group[candidate], minlength=len(sizes))
    unlucky = found < np.minimum(most, sizes)
    if unlucky.any():
        candidate |= unlucky[group]
    among = np.flatnonzero(candidate)
    among = among[np.lexsort((lot[among], group[among]))]
    starts = np.searchsorted(group[among], np.arange(len(sizes)))
    place = np.arange(len(among)) - starts[group[among]]
    return among[place < most]


def labels(cuts: np.ndarray, purchases: np.ndarray, tasks: tuple[Task, ...]) -> np.ndarray:
    """Whether the user purchases in (t0, t0 + horizon], uint8 [cuts, tasks].

    A purchase at t0 itself is known at t0, so it is input and never label.

    Args:
        cuts: keys of the cuts.
        purchases: sorted keys of all purchases of these users.
    """
    padded = np.append(purchases, np.iinfo(np.int64).max)
    following = padded[np.searchsorted(purchases, cuts, "right")]
    wait = np.where(following >> TIME_BITS == cuts >> TIME_BITS, following - cuts, 2**62)
    return (wait[:, None] <= np.array([t.horizon_ms for t in tasks])).astype(np.uint8)


def observed(cuts: np.ndarray, end: int, tasks: tuple[Task, ...]) -> np.ndarray:
    """Whether the longest horizon of each cut ends before `end`, where observation ends (ms)."""
    return (cuts & TIME_MASK) + max(t.horizon_ms for t in tasks) < end
