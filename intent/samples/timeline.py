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
        begin = first_of(lengths[name])[filled]
        step[begin] = mine[begin] - first[filled]
        steps[name], at[name] = step, mine
        low += len(mine)
    return Timeline(ordered[first] & TIME_MASK, gaps, moments, steps), at


@dataclass(frozen=True)
class Clock:
    """When the moments of R rows were.

    Attributes:
        gaps: [M] ms since the moment before, int64.
        first: [R] the first moment of each row.
        shift: [R] what the sum of all gaps so far lacks to epoch ms.
    """

    gaps: np.ndarray
    first: np.ndarray
    shift: np.ndarray

    @staticmethod
    def of(start: np.ndarray, gaps: np.ndarray, moments: np.ndarray) -> Clock:
        """See `Timeline`; `gaps` is int64."""
        first = first_of(moments)
        return Clock(gaps, first, start - passed(gaps, first))

    def times(self, at: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Epoch ms of the moments `at`, ascending, of which each row has `lengths` [R]."""
        return passed(self.gaps, at) + np.repeat(self.shift, lengths)


@dataclass(frozen=True)
class Series:
    """The moments of a series' values, as runs: in a run each value is one moment after the last.

    The runs of the swipe view are long, as most moments are its actions'.

    Attributes:
        size: A, values of all rows.
        low: [runs] the first value of each run, ascending; the first of a row begins one.
        moment: [runs] its moment, ascending.
    """

    size: int
    low: np.ndarray
    moment: np.ndarray

    @staticmethod
    def of(
        steps: np.ndarray, lengths: np.ndarray, first: np.ndarray, moments: np.ndarray
    ) -> Series:
        """Unfold the steps of a series.

        Args:
            steps: [A] see `Timeline`.
            lengths: [R] values in each row.
            first, moments: [R] the first moment of each row and how many it has.

        Raises:
            ValueError: a value stands after its row's last moment.
        """
        filled = np.flatnonzero(lengths)
        begin = first_of(lengths)[filled]
        new = steps != 1
        new[begin] = True
        low = np.flatnonzero(new)
        step = steps.take(low).astype(np.int64)
        moment = np.cumsum(step - 1)
        moment += low
        row = np.searchsorted(low, begin)
        count = np.diff(row, append=len(low))
        moment += np.repeat(first[filled] + step[row] - moment[row], count)
        last = row + count - 1
        end = moment[last] + (begin + lengths[filled] - low[last])
        if (end > first[filled] + moments[filled]).any():
            raise ValueError("a value stands after its row's last moment")
        return Series(len(steps), low, moment)

    @property
    def high(self) -> np.ndarray:
        """Where each run ends (exclusive). [runs]"""
        return np.append(self.low, self.size)[1:]

    def moments(self) -> np.ndarray:
        """The moment of each value, [A]."""
        return np.repeat(self.moment - self.low, self.high - self.low) + np.arange(self.size)

    def until(self, moments: np.ndarray) -> np.ndarray:
        """How many values, those of earlier rows included, are at or before each of `moments`."""
        run = np.searchsorted(self.moment, moments, "right")
        ends = np.append(0, self.high)  # of the run before
        shift = np.append(0, self.low - self.moment + 1)
        return np.minimum(moments + shift[run], ends[run])

    def of_moments(self, values: np.ndarray) -> np.ndarray:
        """Those of `values` [M] at the moments of the series, [A]."""
        if len(self.low) * 16 > self.size:
            return values.take(self.moments())
        ends = (self.moment + self.high - self.low).tolist()
        runs = zip(self.moment.tolist(), ends, strict=True)
        return np.concatenate([values[:0], *(values[a:b] for a, b in runs)])


def passed(gaps: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The sum of `gaps` [M] up to and with each of the places `at`, which ascend."""
    if 8 * len(at) > len(gaps):
        return np.cumsum(gaps).take(at)
    if not len(at):
        return np.zeros(0, np.int64)
    begin = np.append(0, at[:-1] + 1)
    new = begin <= at  # else the same place as the one before
    parts = np.zeros(len(at), np.int64)
    parts[new] = np.add.reduceat(gaps[: at[-1] + 1], begin[new])
    return np.cumsum(parts)


def first_of(lengths: np.ndarray) -> np.ndarray:
    """Where each row begins in a series."""
    return np.cumsum(lengths) - lengths
