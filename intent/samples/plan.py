"""The epoch plan: which sample group is read at which step by which rank (DESIGN 3.4).

The plan of an epoch is a pure function of (groups in each row group, seed, epoch, global batch).
Ranks only take slices of it, so every group appears exactly once, in the same global order
whatever the number of ranks, every rank has the same number of steps, and any step can be
computed without the steps before it.

How the order is made. Row groups are permuted and laid end to end. That line is cut into `LANES`
pieces of equal length; every global batch takes its first slots from lane 0, the next ones from
lane 1 and so on, so a rank needs only the row groups of its lanes. Within a lane the order is
drawn anew in each pool of consecutive groups: one pool of every lane is in memory at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

LANES = 8


@dataclass(frozen=True)
class Pool:
    """Consecutive groups of a lane: needed from step `first` to `last`, from row groups `units`."""

    first: int
    last: int
    lane: int
    units: tuple[int, ...]


class Residents:
    """Which row groups are in memory while a rank goes through its pools."""

    def __init__(self) -> None:
        self._pools: list[Pool] = []
        self.units: set[int] = set()

    def enter(self, pool: Pool) -> list[int]:
        """Take up `pool`, let go of pools that ended before it; returns the row groups to read."""
        self._pools = [p for p in self._pools if p.last >= pool.first] + [pool]
        self.units &= {unit for p in self._pools for unit in p.units}
        new = [unit for unit in pool.units if unit not in self.units]
        self.units.update(new)
        return new


def reads(pools: list[Pool]) -> list[int]:
    """The row groups that are read for a sequence of pools, in order."""
    residents = Residents()
    return [unit for pool in pools for unit in residents.enter(pool)]


@dataclass(frozen=True)
class EpochPlan:
    """The order of one epoch.

    Attributes:
        sizes: groups in each row group, in the manifest's order.
        seed, epoch: what the order is drawn from.
        batch: groups of a global batch. The last batch of an epoch may be shorter.
        pool: groups among which the order is drawn, over all lanes together.
        shuffle: False keeps the manifest's order, for evaluation.
        limit: use only so many groups, the first of the permuted line; None uses all.
    """

    sizes: tuple[int, ...]
    seed: int
    epoch: int
    batch: int
    pool: int = 65_536
    shuffle: bool = True
    limit: int | None = None

    @cached_property
    def groups(self) -> int:
        """Groups in the epoch."""
        return min(sum(self.sizes), self.limit or sum(self.sizes))

    @cached_property
    def steps(self) -> int:
        """Global batches in the epoch, the same for every rank."""
        return -(-self.groups // self.batch)

    def step_groups(self, step: int) -> int:
        """Groups in a step over all ranks: the batch, or what is left for the last step."""
        return min(self.batch, self.groups - step * self.batch)

    def rank_slots(self, rank: int, world: int) -> range:
        """The slots of every global batch that belong to a rank."""
        return range(rank * self.batch // world, (rank + 1) * self.batch // world)

    def take(self, step: int, rank: int = 0, world: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The groups of a rank at a step: row group [n] and position within the row group [n]."""
        slots = self.rank_slots(rank, world)
        slot = np.arange(slots.start, min(slots.stop, self.step_groups(step)))
        line = np.empty(len(slot), np.int64)
        lanes = slot * LANES // self.batch
        for lane in np.unique(lanes):
            mine = lanes == lane
            first, width = self._lane_slots(lane)
            line[mine] = self._in_lane(int(lane), step * width + slot[mine] - first)
        unit = np.searchsorted(self._line_starts, line, "right") - 1
        return self._order[unit], line - self._line_starts[unit]

    def pools(self, rank: int, world: int, start: int = 0) -> list[Pool]:
        """The pools that a rank draws from at step `start` or later, by first step, then lane."""
        lanes = sorted({s * LANES // self.batch for s in self.rank_slots(rank, world)})
        found = []
        for lane in lanes:
            _, width = self._lane_slots(lane)
            lane_size, size = self._lane_size(lane), self._pool_size
            for number, low in enumerate(range(0, lane_size, size)):
                last = (min(low + size, lane_size) - 1) // width
                if last >= start:
                    units = self._pool_units(lane, number)
                    found.append(Pool(max(low // width, start), last, lane, units))
        return sorted(found, key=lambda pool: (pool.first, pool.lane))

    @cached_property
    def _order(self) -> np.ndarray:
        units = np.arange(len(self.sizes))
        return self._generator(2**32 - 1, 0).permutation(units) if self.shuffle else units

    @cached_property
    def _line_starts(self) -> np.ndarray:
        sizes = np.asarray(self.sizes, np.int64)[self._order]
        return np.cumsum(sizes) - sizes

    def _lane_slots(self, lane: int) -> tuple[int, int]:
        """First slot and number of slots of a lane in every global batch."""
        first, end = (-(-k * self.batch // LANES) for k in (lane, lane + 1))
        return first, end - first

    def _lane_size(self, lane: int) -> int:
        first, width = self._lane_slots(lane)
        tail = self.step_groups(self.steps - 1)
        return (self.steps - 1) * width + min(max(tail - first, 0), width)

    @cached_property
    def _lane_starts(self) -> list[int]:
        sizes = [self._lane_size(lane) for lane in range(LANES)]
        return [sum(sizes[:lane]) for lane in range(LANES)]

    @property
    def _pool_size(self) -> int:
        return max(self.pool // LANES, 1)

    def _pool_units(self, lane: int, number: int) -> tuple[int, ...]:
        low = self._lane_starts[lane] + number * self._pool_size
        high = min(low + self._pool_size, self._lane_starts[lane] + self._lane_size(lane))
        first, last = np.searchsorted(self._line_starts, [low, high - 1], "right") - 1
        return tuple(int(u) for u in self._order[first : last + 1])

    def _in_lane(self, lane: int, at: np.ndarray) -> np.ndarray:
        """Positions on the line of the lane's groups number `at`."""
        if self.shuffle:
            number = at // self._pool_size
            drawn = np.empty_like(at)
            for pool in np.unique(number):
                mine = number == pool
                offset = pool * self._pool_size
                size = min(self._pool_size, self._lane_size(lane) - offset)
                drawn[mine] = offset + self._drawn(lane, int(pool), int(size))[at[mine] - offset]
            at = drawn
        return self._lane_starts[lane] + at

    def _drawn(self, lane: int, pool: int, size: int) -> np.ndarray:
        return _permutation(self.seed, self.epoch, lane, pool, size)

    def _generator(self, lane: int, pool: int) -> np.random.Generator:
        return _generator(self.seed, self.epoch, lane, pool)


def _generator(seed: int, epoch: int, lane: int, pool: int) -> np.random.Generator:
    key = np.random.SeedSequence([seed % 2**64, epoch, lane, pool])
    return np.random.Generator(np.random.Philox(key))


@lru_cache(maxsize=4 * LANES)
def _permutation(seed: int, epoch: int, lane: int, pool: int, size: int) -> np.ndarray:
    return _generator(seed, epoch, lane, pool).permutation(size)
