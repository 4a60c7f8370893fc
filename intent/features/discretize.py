"""Continuous values to ids, exactly as sections 3.1 and 3.2 of the paper and Table 3 say.

The one implementation: the Spark job, the device runtime and the tests call these functions, so
training and serving cannot drift. All of them are vectorized NumPy, take any shape, and give
int64 ids in which 0 means "does not apply" (the input was NaN) and the levels start at 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from intent.schema import BROWSE, SWIPE, Feature


@dataclass(frozen=True)
class StepFunction:
    """Section 3.1's step function for time gaps and durations, for any number of levels.

    floor(x / fine) below `coarse`; floor(x / coarse + m - 1) up to `levels - m` times `coarse`;
    `levels - 1` above, where m = coarse / fine is the number of fine steps. With the paper's
    fine = 100, coarse = 1000 and levels = 20 this is its formula to the letter (m - 1 = 9).

    Attributes:
        fine: width of a fine step, f_s (ms).
        coarse: width of a coarse step, f_b (ms), a multiple of `fine`.
        levels: number of levels, the feature's dictionary.
    """

    fine: int
    coarse: int
    levels: int

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Ids 1..levels of `x` (ms, >= 0), 0 where x is NaN."""
        x = np.asarray(x, dtype=np.float64)
        fine_steps = self.coarse // self.fine
        known = ~np.isnan(x)
        x = np.where(known, np.maximum(x, 0), 0)
        low = np.floor(x / self.fine)
        high = np.floor(np.minimum(x / self.coarse, self.levels) + fine_steps - 1)
        level = np.where(x < self.coarse, low, np.minimum(high, self.levels - 1))
        return np.where(known, level.astype(np.int64) + 1, 0)

    def bounds(self, id_: int) -> tuple[float, float]:
        """The inverse: the x of an id 1..levels are those in [low, high); the last has no end."""
        fine_steps = self.coarse // self.fine

        def start(level: int) -> int:
            if level < fine_steps:
                return level * self.fine
            return (level - fine_steps + 1) * self.coarse

        return start(id_ - 1), start(id_) if id_ < self.levels else np.inf


_LEVELS = {f.name: f.dictionary for f in (*SWIPE.features, *BROWSE.features)}

time_gap = StepFunction(100, 1_000, _LEVELS["time_gap"])  # section 3.1
duration = StepFunction(25, 250, _LEVELS["duration"])  # section 3.1
# Section 3.2 gives the shape ("similar ... as for the time gap") and Table 3c the number of levels;
# the steps are ours. Stay: seconds to one minute, then minutes to two hours. Age: five minutes to
# one hour (the real-time horizon), then hours to 13 hours (today).
stay_time = StepFunction(1_000, 60_000, _LEVELS["stay_time"])
age = StepFunction(300_000, 3_600_000, _LEVELS["age"])


def position(value: ArrayLike, size: ArrayLike, segments: int) -> np.ndarray:
    """Segment of a coordinate, ids 1..segments: the screen is cut into equal segments (3.1).

    Args:
        value: coordinate in pixels, 0..size; NaN where there is none.
        size: width or height of that device's screen in pixels.
        segments: 17 for the width, 25 for the height (Table 3a).
    """
    value, size = np.asarray(value, np.float64), np.asarray(size, np.float64)
    known = ~np.isnan(value) & (size > 0)
    share = np.divide(value, size, out=np.zeros(np.broadcast(value, size).shape), where=known)
    level = np.clip(np.floor(share * segments), 0, segments - 1)
    return np.where(known, level.astype(np.int64) + 1, 0)


def segment(id_: int, segments: int) -> tuple[float, float]:
    """The inverse of `position`: an id's segment as shares of the screen, [low, high)."""
    return (id_ - 1) / segments, id_ / segments


def swipe_length(start: ArrayLike, end: ArrayLike, size: ArrayLike, segments: int) -> np.ndarray:
    """Signed length of a swipe along one axis, ids 1..2*segments (3.1).

    Ids 1..segments are lengths towards larger coordinates (right, down) and 0; ids segments+1 to
    2*segments are lengths towards smaller ones (left, up). NaN where there is no swipe.
    """
    way = np.asarray(end, np.float64) - np.asarray(start, np.float64)
    length = position(np.abs(way), size, segments)
    return np.where((length > 0) & (way < 0), length + segments, length)


def length_segment(id_: int, segments: int) -> tuple[int, float, float]:
    """The inverse of `swipe_length`: (sign, low, high), the length as shares of the screen.

    The sign is -1 for the way towards smaller coordinates (left, up), else 1.
    """
    sign = 1 if id_ <= segments else -1
    return sign, *segment(id_ if sign > 0 else id_ - segments, segments)


def direction(start: ArrayLike, end: ArrayLike, first_is_positive: bool) -> np.ndarray:
    """Direction of a swipe along one axis: 1 or 2, and 0 where it did not move along it.

    `first_is_positive`: whether id 1 is the way towards larger coordinates (right/left: 1 is
    right) or towards smaller ones (up/down: 1 is up, since y grows downward).
    """
    way = np.asarray(end, np.float64) - np.asarray(start, np.float64)
    if not first_is_positive:
        way = -way
    return np.where(way > 0, 1, np.where(way < 0, 2, 0)).astype(np.int64)


def level(value: ArrayLike, feature: Feature) -> np.ndarray:
    """A level 0..dictionary-1 (Table 3e) to ids 1..dictionary; 0 where unknown or out of range."""
    value = np.asarray(value, np.float64)
    with np.errstate(invalid="ignore"):
        known = (value >= 0) & (value < feature.dictionary) & (value == np.floor(value))
    return np.where(known, np.where(known, value, 0).astype(np.int64) + 1, 0)


def count(value: ArrayLike, features: tuple[Feature, ...]) -> np.ndarray:
    """Frequencies [..., len(features)] to ids (Table 3d): id 1 is none, the last is "or more"."""
    value = np.asarray(value, np.int64)
    top = np.array([f.dictionary for f in features], np.int64)
    return np.minimum(value, top - 1) + 1
