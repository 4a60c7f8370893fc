"""The feed: batches of sample groups for one rank, in the order of the epoch plan.

Petastorm reads the row groups that the plan needs, ahead of time; batches are sliced out of them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa

from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples.manifest import Manifest
from intent.samples.plan import EpochPlan, Residents, reads
from intent.samples.rowgroups import read_row_groups
from intent.samples.shard_files import check_files
from intent.samples.units import Unit, needed_columns, read_unit
from intent.schema import Schema, narrowest

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """A rank's part of one global batch; b = ceil(batch / ranks) rows on every rank and step.

    Attributes:
        epoch, step: where in the plan.
        inputs: source -> ids [b, ...], narrow unsigned types.
        labels: [b, tasks] of 0 and 1.
        weights: [b]; 0 marks rows that only fill a short batch.
        total: groups of this step over all ranks.
        users, times: [b] which group each row is: the user and t0 (epoch ms).
    """

    epoch: int
    step: int
    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    weights: np.ndarray
    total: int
    users: np.ndarray
    times: np.ndarray


class Feed(Protocol):
    """What training and evaluation read from."""

    schema: Schema

    def steps(self, epoch: int) -> int:
        """Steps of an epoch, the same on every rank."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `start` on."""


@dataclass(frozen=True)
class TrackFeed:
    """Batches from the tracks dataset at `root`.

    Attributes:
        manifest: the dataset, or some days of it (`Manifest.only`).
        schema: the sources and tasks that the model takes.
        batch: global batch size.
        seed, pool, shuffle, limit: see `EpochPlan`.
        rank, world: this rank and the number of ranks.
        fusion: whether batches carry the merged order that early fusion needs.
        random_labels: control experiment: labels are drawn by lot at each task's base rate.
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
    random_labels: bool = False

    def __post_init__(self) -> None:
        check_layout(self.root, self.manifest)
        if not self.manifest.groups:
            raise IntentError(f"{self.root} has no sample groups for the days asked for")

    @property
    def units(self) -> list[tuple[str, int]]:
        """(shard, row group) of every unit, in the manifest's order."""
        return [(s.path, g) for s in self.manifest.shards for g in range(len(s.row_groups))]

    def plan(self, epoch: int) -> EpochPlan:
        """The order of an epoch; the same on every rank."""
        sizes = tuple(n for s in self.manifest.shards for n in s.row_groups)
        return EpochPlan(sizes, self.seed, epoch, self.batch, self.pool, self.shuffle, self.limit)

    def steps(self, epoch: int) -> int:
        """Steps of an epoch."""
        return self.plan(epoch).steps

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this rank from step `start` on, read ahead by a thread."""
        return ahead(self._batches(epoch, start), depth=4)

    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        plan, units = self.plan(epoch), self.units
        pools = plan.pools(self.rank, self.world, start)
        tables = read_row_groups(
            str(self.root), [units[u] for u in reads(pools)], needed_columns(self.schema)
        )
        residents, loaded = Residents(), {}
        try:
            for step in range(start, plan.steps):
                while pools and pools[0].first <= step:
                    new = residents.enter(pools.pop(0))
                    loaded = {u: unit for u, unit in loaded.items() if u in residents.units}
                    for u in new:
                        loaded[u] = self._unit(next(tables), u, units[u], plan.sizes[u])
                yield self._assemble(plan, step, loaded)
        finally:
            tables.close()

    def _unit(self, table: pa.Table, number: int, where: tuple[str, int], groups: int) -> Unit:
        """Decode a row group and check it against the manifest."""
        unit = read_unit(table, self.manifest.schema, self.schema)
        if unit.groups != groups:
            raise IntentError(
                f"{where[0]}: row group {where[1]} has {unit.groups} groups, the manifest says "
                f"{groups}; the shard was replaced: build the samples again"
            )
        if self.random_labels:
            # Dealing out the true labels anew would keep how many there are: a batch or a shard
            # with more buyers than others keeps them, and a few hundred steps learn from that.
            rates = [self.manifest.label_rate(task.name) for task in self.schema.tasks]
            lot = np.random.default_rng([self.seed, number]).random(unit.labels.shape)
            unit = replace(unit, labels=(lot < rates).astype(np.uint8))
        return unit

    def _assemble(self, plan: EpochPlan, step: int, loaded: dict[int, Unit]) -> Batch:
        unit, index = plan.take(step, self.rank, self.world)
        batch = self._empty(plan.epoch, step, plan.step_groups(step))
        batch.weights[: len(unit)] = 1
        for u in np.unique(unit):
            at, source = np.flatnonzero(unit == u), loaded[int(u)]
            for name, values in source.inputs(index[at], self.fusion).items():
                batch.inputs[name][at] = values
            batch.labels[at] = source.labels[index[at]]
            batch.users[at] = source.users[index[at]]
            batch.times[at] = source.at[index[at]]
        return batch

    def _empty(self, epoch: int, step: int, total: int) -> Batch:
        """A batch of filler: groups that never did anything, with weight 0."""
        rows = -(-self.batch // self.world)
        schema = self.schema
        inputs = {v.name: np.zeros((rows, schema.length, v.width), v.dtype) for v in schema.views}
        for source in ("history", "profile"):
            features = getattr(schema, source)
            if features:
                inputs[source] = np.zeros((rows, len(features)), narrowest(features))
        if self.fusion and schema.views:
            inputs["fusion"] = np.zeros((rows, schema.length), np.uint16)
        return Batch(
            epoch=epoch,
            step=step,
            inputs=inputs,
            labels=np.zeros((rows, len(schema.tasks)), np.uint8),
            weights=np.zeros(rows, np.float32),
            total=total,
            users=np.full(rows, "", object),
            times=np.zeros(rows, np.int64),
        )


def ahead(items: Iterator[T], depth: int) -> Iterator[T]:
    """The same items, made up to `depth` ahead by a thread; its errors are raised here.

    Leaving the iterator ends the thread.
    """
    ready: queue.Queue = queue.Queue(depth)
    over = threading.Event()

    def put(item: object) -> None:
        while not over.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None))
                if over.is_set():
                    return
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))
        finally:
            items.close()

    thread = threading.Thread(target=work, daemon=True, name="feed")
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        over.set()
        thread.join()


def split_days(
    manifest: Manifest, evaluation_days: int, purge: bool
) -> tuple[list[str], list[str]]:
    """Days to train on and days to evaluate on: the last ones (section 6.1).

    With `purge`, training days whose longest horizon reaches into evaluation are left out.
    """
    days = manifest.days
    if len(days) <= evaluation_days:
        raise IntentError(
            f"the samples have {len(days)} day(s) ({', '.join(days)}); training and evaluation "
            f"on the last {evaluation_days} need at least {evaluation_days + 1}"
        )
    train, held_out = days[:-evaluation_days], days[-evaluation_days:]
    if purge:
        horizon = max(t.horizon_ms for t in manifest.schema.tasks)
        limit = np.datetime64(held_out[0], "ms") - np.timedelta64(horizon, "ms")
        kept = [d for d in train if np.datetime64(d, "ms") + np.timedelta64(1, "D") <= limit]
        if not kept:
            raise IntentError(f"purge leaves no training day of {', '.join(train)}; give more days")
        train = kept
    return train, held_out


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
