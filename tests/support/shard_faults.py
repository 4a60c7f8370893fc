"""What may happen to a shard while it is read, and which shard is still to be read."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from intent.samples.manifest import Manifest, Shard
from intent.samples.reader import TrackFeed
from tests.support.build import build_samples
from tests.support.feed_job import line_of
from tests.support.feed_ranks import Stream
from tests.support.raw_logs import random_logs

DAYS = 40

Fault = Callable[[Path, Shard, Manifest], None]


def _delete(root: Path, victim: Shard, manifest: Manifest) -> None:
    (root / victim.path).unlink()


def _cut_short(root: Path, victim: Shard, manifest: Manifest) -> None:
    os.truncate(root / victim.path, victim.size // 2)


def _empty(root: Path, victim: Shard, manifest: Manifest) -> None:
    os.truncate(root / victim.path, 0)


def _flip(root: Path, victim: Shard, manifest: Manifest) -> None:
    """A byte in each of 20 places of the data; size and place stay."""
    rng = random.Random(5)
    with (root / victim.path).open("r+b") as file:
        for at in rng.sample(range(4, victim.size * 3 // 4), 20):
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 0x55]))


def _another(root: Path, victim: Shard, manifest: Manifest) -> None:
    """Another sound shard of the same samples under this name, by a rename."""
    other = _like(victim, manifest)
    copy = root / "copy"
    shutil.copyfile(root / other.path, copy)
    os.replace(copy, root / victim.path)


def _another_in_place(root: Path, victim: Shard, manifest: Manifest) -> None:
    """Another sound shard written over this one."""
    (root / victim.path).write_bytes((root / _like(victim, manifest).path).read_bytes())


def _again(root: Path, victim: Shard, manifest: Manifest) -> None:
    """A sound shard of the same day with other rows: those of this one, the other way round."""
    table = pq.read_table(root / victim.path, partitioning=None)
    order = np.arange(len(table))[::-1]
    draft = root / "draft"
    pq.write_table(table.take(order), draft, compression="zstd", use_dictionary=False)
    os.replace(draft, root / victim.path)


def _like(victim: Shard, manifest: Manifest) -> Shard:
    """Another shard, with the same groups in every row group where there is one."""
    others = [s for s in manifest.shards if s != victim]
    return min(others, key=lambda s: (s.row_groups != victim.row_groups, s.path))


FAULTS: dict[str, Fault] = {
    "deleted": _delete,
    "cut short": _cut_short,
    "emptied": _empty,
    "bytes flipped": _flip,
    "swapped": _another,
    "overwritten": _another_in_place,
    "rebuilt": _again,
}


def small_shards(root: Path) -> Manifest:
    """A dataset of some forty shards of one row group each."""
    tables = random_logs(users=12, days=DAYS, per_day=12, seed=1)
    return build_samples(root, tables, days=DAYS, row_group=1000)


def groups_of(feed: TrackFeed, shard: Shard) -> set[tuple[str, int]]:
    """The groups of one shard, as (user, time)."""
    alone = replace(feed, manifest=replace(feed.manifest, shards=[shard]), rank=0, world=1)
    found = (line_of(batch)["groups"] for batch in alone.batches(0))
    return {(user, time) for groups in found for user, time in groups}


def read_last(feed: TrackFeed, stream: Stream) -> tuple[Shard, int]:
    """The shard of which an epoch gives nothing for longest, and the step that first needs it."""
    first: dict[tuple, int] = {}
    for (_, step), groups in stream.items():
        for user, time in groups:
            first.setdefault((user, time), step)
    steps = {s.path: min(first[g] for g in groups_of(feed, s)) for s in feed.manifest.shards}
    shard = max(feed.manifest.shards, key=lambda s: (steps[s.path], s.path))
    return shard, steps[shard.path]
