"""Leaves out of a track what no window of its cuts sees.

Between two cuts there can be more actions than a window holds, above all where few cuts are kept of
a day. Nothing reads them, so they are not stored, and the windows of a day tell its whole track:
that is what makes `intent.samples.regroup` exact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from intent.samples.tracks import TrackRow


def trim(row: TrackRow, length: int) -> TrackRow:
    """The same groups from the fewest actions: those in the last `length` before some cut.

    Returns `row` itself where every action is seen.
    """
    ends = row.cut_end.astype(np.int64)
    total = [len(times) for times in row.times.values()]
    between = np.diff(ends, axis=0, prepend=0)  # actions between a cut and the one before it
    if (between <= length).all() and (ends[-1] == total).all():
        return row
    ids, times = dict(row.ids), dict(row.times)
    for column, name in enumerate(row.ids):
        end = ends[:, column]
        shown = seen(np.maximum(end - length, 0), end, total[column])
        ids[name], times[name] = ids[name][shown], times[name][shown]
        ends[:, column] = np.r_[0, np.cumsum(shown)][end]
    return replace(row, ids=ids, times=times, cut_end=ends.astype(row.cut_end.dtype))


def seen(low: np.ndarray, end: np.ndarray, actions: int) -> np.ndarray:
    """Whether each action lies in one of the windows [low, end), bool [actions]."""
    open_windows = np.zeros(actions + 1, np.int64)
    np.add.at(open_windows, low, 1)
    np.add.at(open_windows, end, -1)
    return np.cumsum(open_windows[:-1]) > 0
