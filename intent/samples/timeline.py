"""The times of a row's actions and cuts, each moment once.

Views share moments: a tap on a button is a touch too, and a cut is a moment at which something
happened. So a row holds its moments, as the gaps between them, and everything else says at which
moment it happened, counted from the one before. How many actions of a view stand at or before a cut
follows from that and is not stored.

Letters: R rows, M moments, A actions of a view and C cuts of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intent.features.history import TIME_BITS, TIME_MASK


@dataclass(frozen=True)
class Timeline:
    """Moments of R rows and what happened at them.

    Attributes:
        start: [R] the first moment, epoch ms.
        gaps: [M] ms since the moment before; 0 for the first of a row.
        moments: [R] how many.
        steps: series -> [A] or [C] moments since the action before, or since the row's first.
    """

    start: np.ndarray
    gaps: np.ndarray
    moments: np.ndarray
    steps: dict[str, np.ndarray]


def fold(
    times: dict[str, np.ndarray], lengths: dict[str, np.ndarray]
) -> tuple[Timeline, dict[str, np.ndarray]]:
    """The timeline of several series, and each series' moments: indices [A] or [C] into M.

    Args:
        times: series -> epoch ms, ascending within a row.
        lengths: series -> [R] values in each row; every row has a value in some series.
    """
    rows = len(next(iter(lengths.values())))
    own = {n: np.repeat(np.arange(rows, dtype=np.int64), lengths[n]) for n in times}
    keys = np.concatenate([own[n] << TIME_BITS | times[n] for n in times])
    order = np.argsort(keys, kind="stable")  # of runs that are sorted already: a merge
    ordered = keys[order]
    new = np.diff(ordered, prepend=-1) != 0
    moment = np.empty(len(keys), np.int32)
    moment[order] = np.cumsum(new, dtype=np.int32) - np.int32(1)
    ordered = ordered.take(np.flatnonzero(new))
    bounds = np.searchsorted(ordered, np.arange(rows + 1, dtype=np.int64) << TIME_BITS)
    first, moments = bounds[:-1], np.diff(bounds)
    gaps = np.diff(ordered, prepend=0)
    gaps[first] = 0
    steps, at, low = {}, {}, 0
    for name in times:
        mine = moment[low : low + len(times[name])]
        step = np.diff(mine, prepend=0)
        filled = np.flatnonzero(lengths[name])
        begin = _first(lengths[name])[filled]
        step[begin] = mine[begin] - first[filled]
        steps[name], at[name] = step, mine
        low += len(mine)
    return Timeline(ordered[first] & TIME_MASK, gaps, moments, steps), at


def unfold(
    line: Timeline, lengths: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The moments' epoch ms [M], and series -> the moment of each value, an index into them.

    Raises:
        ValueError: a value stands outside its row's moments.
    """
    first = _first(line.moments)
    passed = np.cumsum(line.gaps)
    times = passed + np.repeat(line.start - passed[first], line.moments)
    at = {}
    for name, steps in line.steps.items():
        moment = np.cumsum(steps, dtype=np.int64)
        filled = np.flatnonzero(lengths[name])
        begin = _first(lengths[name])[filled]
        shift = first[filled] - moment[begin] + steps[begin]
        moment += np.repeat(shift, lengths[name][filled])
        last = np.cumsum(lengths[name])[filled] - 1
        if (moment[last] >= first[filled] + line.moments[filled]).any():
            raise ValueError(f"{name} has a value after its row's last moment")
        at[name] = moment
    return times, at


def _first(lengths: np.ndarray) -> np.ndarray:
    """Where each row begins in a series."""
    return np.cumsum(lengths) - lengths
