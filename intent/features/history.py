"""The 18 history counts (section 3.2, Table 3d): how often a user collected, carted and purchased.

Counted in (t0 - window, t0] for six windows. What happened before the logs start comes from a
table of daily counts, what happened since from the browse events themselves.

Times of many users are handled as one sorted array of keys, `user << TIME_BITS | time`, so that
one binary search serves all of them.
"""

from __future__ import annotations

import numpy as np

from intent.schema import DAY_MS, HISTORY_WINDOWS

TIME_BITS = 42  # milliseconds until the year 2109
TIME_MASK = (1 << TIME_BITS) - 1


def key(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Sortable key of (user code < 2**21, epoch ms). int64."""
    return (np.asarray(user, np.int64) << TIME_BITS) | np.asarray(time, np.int64)


def counts(
    at: np.ndarray, events: list[np.ndarray], day_ends: np.ndarray, daily: np.ndarray
) -> np.ndarray:
    """Counts as of each moment, int64 [moments, actions * windows], in the order of HISTORY.

    Args:
        at: keys of the moments t0, [moments].
        events: for each counted action the sorted keys of its events.
        day_ends: sorted keys of the last millisecond of each day of the daily table, [days].
        daily: its counts, [days, actions].
    """
    summed = np.concatenate([np.zeros((1, len(events)), np.int64), np.cumsum(daily, axis=0)])
    user, time = at >> TIME_BITS, at & TIME_MASK
    day_high = np.searchsorted(day_ends, at, "right")
    highs = [np.searchsorted(e, at, "right") for e in events]
    out = np.empty((len(at), len(events), len(HISTORY_WINDOWS)), np.int64)
    for w, (_, days, _, _) in enumerate(HISTORY_WINDOWS):
        start = key(user, np.maximum(time - days * DAY_MS, 0))
        in_table = summed[day_high] - summed[np.searchsorted(day_ends, start, "right")]
        for a, event in enumerate(events):
            since = highs[a] - np.searchsorted(event, start, "right")
            out[:, a, w] = since + in_table[:, a]
    return out.reshape(len(at), -1)
