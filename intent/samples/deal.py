"""How the row groups of a lane are dealt out to blocks, and how a block is shuffled.

Letters: K row groups ("units") of a lane, m parts, J blocks, n groups of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Deal:
    """K units of a lane, each in m parts, in J = K - m + 1 blocks.

    Part i of unit k is in block k + i - (m - 1), or in the first or the last one where there is no
    such block: every block mixes m units, and unit k is needed from block k - (m - 1) to block k.

    Attributes:
        unit: [K]; bounds: [K, m + 1] positions within the unit where its parts begin.
        starts: [J + 1] where each block begins in the lane.
    """

    unit: np.ndarray
    bounds: np.ndarray
    starts: np.ndarray

    @staticmethod
    def of(unit: np.ndarray, offset: np.ndarray, size: np.ndarray, parts: int) -> Deal:
        """Deal out positions [offset, offset + size) of each unit in `parts` parts, or in K."""
        count = len(unit)
        parts = min(max(parts, 1), max(count, 1))
        bounds = offset[:, None] + size[:, None] * np.arange(parts + 1) // parts
        blocks = max(count - parts + 1, 0)
        block = np.arange(count)[:, None] + np.arange(parts) - (parts - 1)
        sizes = np.zeros(blocks, np.int64)
        np.add.at(sizes, np.clip(block, 0, blocks - 1), np.diff(bounds, axis=1))
        return Deal(unit, bounds, np.concatenate([[0], np.cumsum(sizes)]))

    @property
    def parts(self) -> int:
        """m."""
        return self.bounds.shape[1] - 1

    def block(self, number: int, random: np.random.Generator | None) -> np.ndarray:
        """Units and positions [2, n] of a block.

        Args:
            random: shuffles the units into one another: each stays in its own order and is spread
                evenly over the block; None leaves them one behind the other.
        """
        k = np.arange(number, number + self.parts)
        part = number + self.parts - 1 - k  # the one that is in this block; at the ends, more are
        low = part if number else np.zeros_like(part)
        high = part if number < len(self.starts) - 2 else np.full_like(part, self.parts - 1)
        begin = self.bounds[k, low]
        size = self.bounds[k, high + 1] - begin
        own = np.repeat(np.arange(len(k)), size)
        turn = np.arange(len(own)) - (np.cumsum(size) - size)[own]
        found = np.stack([self.unit[k][own], begin[own] + turn])
        if random is None:
            return found
        return found[:, np.argsort((turn + random.random(len(own))) / size[own])]

    def stays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """From where to where in the lane which unit is needed: begin, end, unit [K] each."""
        number = np.arange(len(self.unit))
        first = np.maximum(number - (self.parts - 1), 0)
        last = np.minimum(number, len(self.starts) - 2)
        return self.starts[first], self.starts[last + 1], self.unit
