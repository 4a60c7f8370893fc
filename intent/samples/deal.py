"""How the row groups of a lane are dealt out to blocks, and how a block is shuffled.

Letters: K row groups ("units") of a lane, n groups of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Deal:
    """K units of a lane, each in `parts` parts: part i of unit k is in block k + i, modulo K.

    Attributes:
        unit: [K]; bounds: [K, parts + 1] positions within the unit where its parts begin.
        starts: [K + 1] where each block begins in the lane.
    """

    unit: np.ndarray
    bounds: np.ndarray
    starts: np.ndarray
    parts: int

    @staticmethod
    def of(unit: np.ndarray, offset: np.ndarray, size: np.ndarray, parts: int) -> Deal:
        """Deal out positions [offset, offset + size) of each unit."""
        parts = min(max(parts, 1), max(len(unit), 1))
        bounds = offset[:, None] + size[:, None] * np.arange(parts + 1) // parts
        sizes = np.diff(bounds, axis=1)
        for i in range(1, parts):
            sizes[:, i] = np.roll(sizes[:, i], i)
        starts = np.concatenate([[0], np.cumsum(sizes.sum(axis=1))])
        return Deal(unit, bounds, starts, parts)

    def block(self, number: int, random: np.random.Generator | None) -> np.ndarray:
        """Units and positions [2, n] of a block.

        Args:
            random: shuffles the parts into one another: each stays in its own order and is spread
                evenly over the block; None leaves them one behind the other.
        """
        part = np.arange(self.parts)
        k = (number - part) % len(self.unit)
        begin, size = self.bounds[k, part], self.bounds[k, part + 1] - self.bounds[k, part]
        own = np.repeat(part, size)
        turn = np.arange(len(own)) - (np.cumsum(size) - size)[own]
        found = np.stack([self.unit[k][own], begin[own] + turn])
        if random is None:
            return found
        return found[:, np.argsort((turn + random.random(len(own))) / size[own])]

    def stays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """From where to where in the lane which unit is needed: begin, end, unit.

        A unit of which parts come around the end of the lane has two stays.
        """
        count = len(self.unit)
        if not count:
            return (np.zeros(0, np.int64),) * 3
        number = np.arange(count)
        until = np.minimum(number + self.parts, count)
        around = np.flatnonzero(number + self.parts > count)
        begin = np.concatenate([self.starts[:-1], 0 * around])
        end = np.concatenate([self.starts[until], self.starts[around + self.parts - count]])
        return begin, end, np.concatenate([self.unit, self.unit[around]])
