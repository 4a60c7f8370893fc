"""The epoch plan: which sample group is read at which step by which rank (DESIGN 3.4).

The plan of an epoch is a pure function of (groups in each row group, seed, epoch, global batch).
Ranks only take slices of it, so every group appears exactly once, in the same global order
whatever the number of ranks, every rank has the same number of steps, and any step can be
computed without the steps before it.

How the order is made.

1. The line. Row groups ("units") are permuted and laid end to end.
2. Lanes. The line is cut into lanes of equal length. Every global batch takes its first slots from
   lane 0, the next ones from lane 1 and so on, so a rank reads only the units of its lanes.
3. The rolling pool. Each unit of a lane is dealt out in m parts to m consecutive blocks, so a block
   mixes m units, and one unit enters and one leaves from each block to the next. m units a lane are
   in memory. Every other lane goes through its units backwards, so neighbours need the unit that
   lies in both at the same time.
4. Within a block the parts are shuffled into one another like decks of cards: evenly, with jitter.
   Within a unit, groups of one user's one day are far apart (`intent.samples.spread`), and so they
   stay: a batch meets them more rarely than a perfect shuffle of the pool would.
5. With buckets, the groups of some steps are sorted by length, and the steps shuffled.

Letters: K units of a lane, m parts, S steps, R rows of a rank in a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from intent.samples.deal import Deal

ORDER = 1  # counts up with every change to this file, `deal` or `spread` that gives another order
WINDOW = 16  # steps that are laid out at a time
BUCKET_WINDOW = 64  # steps among which groups of like length are brought together
LANES = 8  # at least, if the pool holds so many units
MOST_LANES, MOST_PARTS = 1024, 256
_LINE, _SHUFFLE, _BATCHES = 0, 1, 2  # what a random generator is for

# Which bucket each group is in: (unit [n], position within the unit [n]) -> [n]
Buckets = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Stay:
    """A unit in memory: it is read before step `first` and may be let go of after step `last`."""

    first: int
    last: int
    unit: int


@dataclass(frozen=True)
class EpochPlan:
    """The order of one epoch.

    Attributes:
        sizes: groups in each unit, in the manifest's order.
        seed, epoch: what the order is drawn from.
        batch: groups of a global batch. The last batch of an epoch may be shorter.
        pool: groups in memory, over all lanes together.
        shuffle: False draws nothing: every lane is in the manifest's order. For evaluation.
        limit: use only so many groups, the first of the permuted line; None uses all.
        buckets: whether groups of like length are brought together; `take` then needs to know them.
    """

    sizes: tuple[int, ...]
    seed: int
    epoch: int
    batch: int
    pool: int = 65_536
    shuffle: bool = True
    limit: int | None = None
    buckets: bool = False

    @cached_property
    def groups(self) -> int:
        """Groups in the epoch."""
        return min(sum(self.sizes), self.limit or sum(self.sizes))

    @cached_property
    def steps(self) -> int:
        """Global batches in the epoch, the same for every rank."""
        return -(-self.groups // self.batch)

    @property
    def window(self) -> int:
        """Steps that `take` lays out together; windows begin at its multiples."""
        return BUCKET_WINDOW if self.buckets else WINDOW

    def step_groups(self, step: int) -> int:
        """Groups in a step over all ranks: the batch, or what is left for the last step."""
        return min(self.batch, self.groups - step * self.batch)

    def rank_slots(self, rank: int, world: int) -> range:
        """The slots of every global batch that belong to a rank."""
        return range(rank * self.batch // world, (rank + 1) * self.batch // world)

    @cached_property
    def lanes(self) -> int:
        """As many as the pool has pairs of units for, so that many ranks each read their own.

        One lane where groups of like length are brought together: every rank must know the lengths
        of all, and units differ (windows are short in the first days of the logs).
        """
        if self.buckets:
            return 1
        fit = self.pool * len(self.sizes) // max(sum(self.sizes), 1)  # units that the pool holds
        most = min(max(min(LANES, fit), fit // 2, 1), MOST_LANES, self.batch)
        return 1 << most.bit_length() - 1  # a power of two, to be shared out among ranks evenly

    def take(
        self, window: int, rank: int = 0, world: int = 1, buckets: Buckets | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The groups of a rank at the steps of a window.

        Args:
            window: its number; it has the steps from window * self.window on.
            buckets: for a plan with buckets, which of them groups of this rank's lanes are in.

        Returns:
            Unit [S, R] and position within the unit [S, R], int64. -1 at the free slots of a short
            last batch, which are the last ones of a row.
        """
        first = window * self.window
        steps = min(self.window, self.steps - first)
        full = min(steps, self.groups // self.batch - first)  # all but a short last one
        order = None
        if self.buckets:
            order = np.arange(full)
            if self.shuffle:
                order = self._generator(_BATCHES, window, 0).permutation(order)
        slots = self.rank_slots(rank, world)
        out = np.full((2, steps, len(slots)), -1, np.int64)
        for lane in self._lanes_of(slots):
            low, width = self._lane_slots(lane)
            at = self._lane_order(lane, first * width, (first + steps) * width)
            if order is not None:
                at = _bring_together(at, width, order, buckets)
            padded = np.full((2, steps * width), -1, np.int64)
            padded[:, : at.shape[1]] = at
            begin, end = max(low, slots.start), min(low + width, slots.stop)
            mine = padded.reshape(2, steps, width)[:, :, begin - low : end - low]
            out[:, :, begin - slots.start : end - slots.start] = mine
        return out[0], out[1]

    def stays(self, rank: int, world: int, start: int = 0) -> list[Stay]:
        """What a rank has in memory from step `start` on, in the order in which it is read."""
        spans = [self._lane_stays(lane) for lane in self._lanes_of(self.rank_slots(rank, world))]
        if not spans:
            return []
        first, last, unit = np.concatenate(spans, axis=1)
        begin = start // self.window * self.window
        first = np.maximum(first // self.window * self.window, begin)
        last = last // self.window * self.window + self.window - 1
        kept = last >= begin
        order = np.lexsort((first[kept], unit[kept]))
        merged: list[Stay] = []
        for a, b, u in zip(*(x[kept][order].tolist() for x in (first, last, unit)), strict=True):
            if merged and merged[-1].unit == u and a <= merged[-1].last + 1:
                merged[-1] = Stay(merged[-1].first, max(b, merged[-1].last), u)
            else:
                merged.append(Stay(a, b, u))
        return sorted(merged, key=lambda stay: (stay.first, stay.last, stay.unit))

    # Not lru_cache on methods: it would hold the plan in a circle, and with it the plans of all
    # epochs until the next run of the garbage collector.
    @cached_property
    def _known_deals(self) -> dict[int, Deal]:
        return {}

    @cached_property
    def _known_blocks(self) -> dict[tuple[int, int], np.ndarray]:
        return {}

    @cached_property
    def _line(self) -> tuple[np.ndarray, np.ndarray]:
        """The units in their order on the line, and where each begins; one more for the end."""
        units = np.arange(len(self.sizes))
        if self.shuffle:
            units = self._generator(_LINE, 0, 0).permutation(units)
        return units, np.concatenate([[0], np.cumsum(np.asarray(self.sizes, np.int64)[units])])

    def _lane_slots(self, lane: int) -> tuple[int, int]:
        """First slot and number of slots of a lane in every global batch."""
        first, end = (-(-k * self.batch // self.lanes) for k in (lane, lane + 1))
        return first, end - first

    def _lanes_of(self, slots: range) -> range:
        if not slots:
            return range(0)
        first, last = (s * self.lanes // self.batch for s in (slots[0], slots[-1]))
        return range(first, last + 1)

    @cached_property
    def _lane_starts(self) -> np.ndarray:
        """Where each lane begins on the line; one more for the end."""
        tail = self.step_groups(self.steps - 1)
        slots = np.array([self._lane_slots(lane) for lane in range(self.lanes)])
        sizes = (self.steps - 1) * slots[:, 1] + np.clip(tail - slots[:, 0], 0, slots[:, 1])
        return np.concatenate([[0], np.cumsum(sizes)])

    def _deal(self, lane: int) -> Deal:
        """How the units of a lane are dealt out to its blocks."""
        if lane not in self._known_deals:
            self._known_deals[lane] = self._new_deal(lane)
        return self._known_deals[lane]

    def _new_deal(self, lane: int) -> Deal:
        low, high = self._lane_starts[lane : lane + 2]
        units, starts = self._line
        a, b = np.searchsorted(starts, low, "right") - 1, np.searchsorted(starts, high, "left")
        begin = np.maximum(starts[a:b], low)
        size = np.minimum(starts[a + 1 : b + 1], high) - begin
        offset, some = begin - starts[a:b], size > 0
        mean = max(sum(self.sizes) / max(len(self.sizes), 1), 1)
        parts = min(round(self.pool / self.lanes / mean), MOST_PARTS) if self.shuffle else 1
        way = np.flatnonzero(some)[:: -1 if self.shuffle and lane % 2 else 1]
        return Deal.of(units[a:b][way], offset[way], size[way], parts)

    def _lane_order(self, lane: int, low: int, high: int) -> np.ndarray:
        """Units and positions [2, n] of the lane's groups from number `low` on."""
        deal = self._deal(lane)
        high = min(high, int(deal.starts[-1]))
        found = [np.zeros((2, 0), np.int64)]
        if low < high:
            blocks = np.searchsorted(deal.starts, [low, high - 1], "right") - 1
            for number in range(blocks[0], blocks[1] + 1):
                begin = deal.starts[number]
                block = self._block(lane, number)
                found.append(block[:, max(low - begin, 0) : high - begin])
        return np.concatenate(found, axis=1)

    def _block(self, lane: int, number: int) -> np.ndarray:
        """Units and positions [2, n] of a block, in their order; the last few are kept."""
        known = self._known_blocks
        if (lane, number) not in known:
            random = self._generator(_SHUFFLE, lane, number) if self.shuffle else None
            known[lane, number] = self._deal(lane).block(number, random)
            if len(known) > 2 * self.lanes:
                del known[next(iter(known))]
        return known[lane, number]

    def _lane_stays(self, lane: int) -> np.ndarray:
        """First step, last step and unit [3, n] of what the lane has in memory."""
        deal = self._deal(lane)
        if not len(deal.unit):
            return np.zeros((3, 0), np.int64)
        begin, end, unit = deal.stays()
        width = max(self._lane_slots(lane)[1], 1)
        first = begin // width
        return np.stack([first, np.maximum((end - 1) // width, first), unit])

    def _generator(self, purpose: int, a: int, b: int) -> np.random.Generator:
        return generator(self.seed, self.epoch, purpose, a, b)


def _bring_together(at: np.ndarray, width: int, order: np.ndarray, buckets: Buckets) -> np.ndarray:
    """A lane's groups [2, n] of a window, so that each step has groups of like buckets, and the
    steps in the `order` which all lanes share; a short last step stays as it is."""
    many = len(order) * width
    by_bucket = np.argsort(buckets(*at[:, :many]), kind="stable")
    mixed = at[:, by_bucket].reshape(2, -1, width)[:, order].reshape(2, many)
    return np.concatenate([mixed, at[:, many:]], axis=1)


def generator(seed: int, *key: int) -> np.random.Generator:
    """A random generator for one purpose; the same for the same numbers on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed % 2**64, *key])))
