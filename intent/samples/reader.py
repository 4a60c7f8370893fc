"""The reader: batches of sample groups for one rank, in the order of the epoch plan.

Petastorm reads the row groups that the plan needs, ahead of time, and decodes them in its threads
(`intent.samples.shares`); the pool holds their tracks; batches are sliced out of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples import memory
from intent.samples.feed import Batch, ahead, filled
from intent.samples.manifest import Manifest
from intent.samples.plan import ORDER, EpochPlan, Stay
from intent.samples.pool import Pool
from intent.samples.shard_files import check_files
from intent.samples.shares import AHEAD, read_shares
from intent.samples.spread import kept_negatives
from intent.schema import Schema

SHORTEST = 16  # actions of the shortest windows that batches of like lengths are cut to
TOGETHER = 1024  # groups that are sliced out at once
CONTROLS = {"random_labels", "reversed_labels"}
NOT_OF_THE_ORDER = {
    "root",
    "manifest",
    "schema",
    "rank",
    "world",
    "fusion",
    *CONTROLS,
    "action_times",
}


@dataclass(frozen=True)
class TrackFeed:
    """Batches from the tracks dataset at `root`.

    Attributes:
        manifest: the dataset, or some days of it (`Manifest.only`).
        schema: the sources and tasks that the model takes.
        batch: global batch size.
        seed, shuffle, limit: see `EpochPlan`.
        pool: groups whose tracks are in memory, over all ranks together.
        rank, world: this rank and the number of ranks.
        fusion: whether batches carry the merged order that early fusion needs.
        action_times: whether inputs also hold when each action was (epoch ms), as "VIEW_times".
        random_labels, reversed_labels: control experiments, see `intent.samples.controls`.
        bucket_lengths: batches of groups with windows of like length, cut to the smallest of 16,
            32, 64 ... actions that holds the longest of the rank's. Every group still comes once,
            in an order that does not depend on the number of ranks.
        negative_rate: share of the negatives (groups without any positive label) that an epoch has,
            others in each epoch; every row group gives its share, to within one.
        weigh_negatives: those that are left weigh 1 / negative_rate, and all weights are scaled to
            a mean of 1, so the loss stays that of all groups on average.
    """

    root: str | Path
    manifest: Manifest
    schema: Schema
    batch: int
    seed: int = 0
    pool: int = 65_536
    shuffle: bool = True
    limit: int | None = None
    rank: int = 0
    world: int = 1
    fusion: bool = False
    action_times: bool = False
    random_labels: bool = False
    reversed_labels: bool = False
    bucket_lengths: bool = False
    negative_rate: float = 1.0
    weigh_negatives: bool = False

    def __post_init__(self) -> None:
        check_layout(self.root, self.manifest)
        if not self.manifest.groups:
            raise IntentError(f"{self.root} has no sample groups for the days asked for")
        if self.fusion and self.bucket_lengths:
            raise IntentError(
                "early fusion counts positions in windows of full length: it goes with "
                "bucket_lengths=False only"
            )

    def of_rank(self, rank: int, world: int) -> TrackFeed:
        """The same groups in the same order, this rank's part of them."""
        return (
            self
            if (rank, world) == (self.rank, self.world)
            else replace(self, rank=rank, world=world)
        )

    @cached_property
    def units(self) -> list[tuple[str, int]]:
        """(shard, row group) of every unit, in the manifest's order."""
        return [(s.path, g) for s in self.manifest.shards for g in range(len(s.row_groups))]

    @cached_property
    def sizes(self) -> np.ndarray:
        """Groups in each unit."""
        return np.array([n for s in self.manifest.shards for n in s.row_groups], np.int64)

    @cached_property
    def negatives(self) -> np.ndarray:
        """Negatives in each unit."""
        return np.array([n for s in self.manifest.shards for n in s.negatives], np.int64)

    def steps(self, epoch: int) -> int:
        """Steps of an epoch."""
        return self.plan(epoch).steps

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this rank from step `start` on, made ahead by a thread."""
        return ahead(self._batches(epoch, start), depth=AHEAD)

    def plan(self, epoch: int) -> EpochPlan:
        """The order of an epoch; the same on every rank."""
        sizes = self.sizes - self.negatives
        sizes += kept_negatives(self.negatives, self.negative_rate, self.seed, epoch)
        if not sizes.any():
            raise IntentError(
                f"negative_rate={self.negative_rate:g} leaves no group in epoch {epoch}, and there "
                "are no positive ones: raise it"
            )
        # What a row group takes in memory are its tracks, however few of its groups are kept.
        pool = int(self.pool * sizes.sum() / self.sizes.sum())
        return EpochPlan(
            tuple(sizes.tolist()), self.seed, epoch, self.batch, pool, self.shuffle,
            self.limit, self.bucket_lengths,
        )  # fmt: skip

    def state(self, epoch: int, step: int) -> dict[str, Any]:
        """Where a run stands in which order: a small dict for JSON. `resume` is its inverse."""
        order = {f.name for f in fields(self)} - NOT_OF_THE_ORDER
        state = {name: getattr(self, name) for name in sorted(order)}
        state |= {"manifest": self.manifest.hash(), "sources": list(self.schema.sources)}
        return {"epoch": epoch, "step": step, "order": ORDER, **state}

    def resume(self, state: dict[str, Any]) -> tuple[int, int]:
        """(epoch, step) of a state; IntentError where it is of other data or of another order.

        The number of ranks may be another than when it was saved.
        """
        ours = self.state(state.get("epoch", 0), state.get("step", 0))
        for name in sorted({*ours, *state}):
            if ours.get(name) != state.get(name):
                raise IntentError(
                    f"the saved position is of an epoch with {name}={state.get(name)!r}, now it is "
                    f"{ours.get(name)!r}: the rest of that epoch can only be read with the "
                    "same data and settings"
                )
        return state["epoch"], state["step"]

    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        memory.steady()
        plan = self.plan(epoch)
        stays = plan.stays(self.rank, self.world, start)
        loaded = read_shares(self, plan, [s.unit for s in stays])
        pool = Pool(self.schema, len(plan.sizes), self.fusion, self.action_times)
        room = sum(self.sizes[s.unit] for s in stays if s.first == stays[0].first)
        inside: list[Stay] = []
        # A few steps at once, if their windows have one length: small arrays cost their overhead.
        together = 1 if self.bucket_lengths else max(TOGETHER * self.world // self.batch, 1)

        def buckets(unit: np.ndarray, position: np.ndarray) -> np.ndarray:
            return np.searchsorted(self._ladder, pool.longest(pool.index(unit, position)))

        try:
            for number in range(start // plan.window, -(-plan.steps // plan.window)):
                first = number * plan.window
                for stay in [s for s in inside if s.last < first]:
                    inside.remove(stay)
                    pool.remove(stay.unit)
                while stays and stays[0].first <= first:
                    inside.append(stays.pop(0))
                    pool.add(inside[-1].unit, *next(loaded), room)
                index = pool.index(*plan.take(number, self.rank, self.world, buckets))
                for step in range(max(start, first), first + len(index), together):
                    part = index[step - first : step - first + together]
                    yield from self._assemble(pool, plan, step, part)
        finally:
            loaded.close()
            pool.clear()
            memory.give_back()

    def _assemble(
        self, pool: Pool, plan: EpochPlan, first: int, index: np.ndarray
    ) -> Iterator[Batch]:
        """The batches of consecutive steps from `first` on, whose groups are `index` of the pool.

        Args:
            index: [steps, rows]; -1 stands for none.
        """
        rows = -(-self.batch // self.world)
        counts = (index >= 0).sum(axis=1)
        groups, length = index[index >= 0], self.schema.length
        if self.bucket_lengths:
            longest = pool.longest(groups).max(initial=0)
            length = int(self._ladder[np.searchsorted(self._ladder, longest)])
        inputs, facts = pool.inputs(groups, length), pool.facts(groups)
        ends = np.cumsum(counts)
        for step, low, high in zip(range(first, plan.steps), ends - counts, ends, strict=False):
            mine = slice(low, high)
            yield Batch(
                epoch=plan.epoch,
                step=step,
                inputs={name: filled(values[mine], rows) for name, values in inputs.items()},
                labels=filled(facts["labels"][mine], rows),
                weights=filled(facts["weights"][mine], rows),
                total=plan.step_groups(step),
                users=filled(facts["users"][mine], rows, ""),
                times=filled(facts["at"][mine], rows),
            )

    @cached_property
    def _ladder(self) -> np.ndarray:
        """Window lengths that batches of like lengths are cut to."""
        length = self.schema.length
        powers = [SHORTEST << k for k in range(length.bit_length()) if SHORTEST << k < length]
        return np.array([*powers, length])


def check_layout(root: str | Path, manifest: Manifest) -> None:
    """IntentError unless the dataset holds tracks, which batches are sliced from."""
    if manifest.layout != "tracks":
        raise IntentError(
            f"{root} has the layout {manifest.layout!r}, which is for other readers; build samples "
            "in the layout tracks: intent samples --logs LOGS --out SAMPLES"
        )


def open_samples(root: str | Path, content: bool = True) -> Manifest:
    """The manifest of the tracks dataset at `root`, its files checked."""
    manifest = manifests.load(root)
    check_layout(root, manifest)
    check_files(root, manifest, content)
    return manifest
