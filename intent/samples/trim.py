"""Leaves out of a track what no window of its cuts sees.

Between two cuts there can be more actions than a window holds, above all where few cuts are kept of
a day, or where sessions shorten the windows. Nothing reads them, so they are not stored, and the
windows of a day tell its whole track: that is what makes `intent.samples.regroup` exact.

Letters: R tracks, C cuts of all tracks, A actions that the windows of a track show, track by track.
"""

from __future__ import annotations

import numpy as np


def seen_by_windows(
    low: np.ndarray, end: np.ndarray, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The actions that the windows [low, end) of each track's cuts show.

    Args:
        low, end: [C] positions in an array of actions; ascending within a track.
        cuts: [R] number of cuts of each track, none of them 0.

    Returns: the positions [A], track by track; how many belong to each track [R]; and where each
        window ends in its own track [C].
    """
    first = np.cumsum(cuts) - cuts
    own = np.repeat(np.arange(len(cuts)), cuts)
    start, stop = low[first], np.maximum(end[first + cuts - 1], low[first])
    lengths = stop - start
    offset = np.cumsum(lengths) - lengths
    shift = (offset - start)[own]
    total = int(lengths.sum())
    opened = np.bincount(low + shift, minlength=total + 1)
    closed = np.bincount(np.maximum(end, low) + shift, minlength=total + 1)
    shown = np.cumsum(opened - closed)[:total] > 0
    places = np.flatnonzero(shown) - np.repeat(offset - start, lengths)[shown]
    before = np.r_[0, np.cumsum(shown)]
    kept = before[offset + lengths] - before[offset]
    return places, kept, before[np.maximum(end, low) + shift] - before[offset][own]
