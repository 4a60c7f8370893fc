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
    user, day = moments >> TIME_BITS, (moments & TIME_MASK) // DAY_MS
    starts = np.flatnonzero(np.r_[True, (np.diff(user) != 0) | (np.diff(day) != 0)])
    group = np.zeros(len(moments), np.int64)
    group[starts[1:]] = 1
    group = np.cumsum(group)
    rank = np.arange(len(moments)) - starts[group]
    stream = mix(user_hash[user] + np.uint64(_GOLDEN * seed % 2**64))
    stream = mix(stream + np.uint64(_GOLDEN) * day.astype(np.uint64))
    lot = mix(stream + np.uint64(_GOLDEN) * (rank + 1).astype(np.uint64))
    order = np.lexsort((lot, group))
    position = np.empty(len(moments), np.int64)
    position[order] = np.arange(len(moments)) - starts[group[order]]
    return moments[position < per_day]


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
