"""A whole dataset, row group by row group, in either layout: what `verify` and the data card read.

Letters: R rows (a user's day each), C cuts of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from intent import storage
from intent.samples import groups, regroup
from intent.samples.manifest import Manifest, Shard
from intent.samples.rowgroups import read_row_groups
from intent.samples.rows import content
from intent.samples.tracks import TrackRow
from intent.samples.units import Unit, needed_columns, read_unit
from intent.schema import DAY_MS, Schema


@dataclass(frozen=True)
class Part:
    """The tracks of some user-days.

    Attributes:
        users: [R]; cuts: [R] number of groups of each row.
        unit: their actions and their groups, row by row.
    """

    users: np.ndarray
    cuts: np.ndarray
    unit: Unit

    @property
    def first(self) -> np.ndarray:
        """[R] index of each row's first cut."""
        return np.cumsum(self.cuts) - self.cuts

    def bounds(self, view: str) -> np.ndarray:
        """[R + 1] where each row's track begins, and where the last one ends."""
        return np.r_[self.unit.low[view][self.first], len(self.unit.times[view])]


@dataclass
class Tally:
    """What was read of a shard.

    Attributes:
        rows: rows of the layout; row_groups: groups in each row group.
        content: sum of the rows' digests, to be compared with the manifest's.
    """

    rows: int = 0
    row_groups: list[int] = field(default_factory=list)
    content: int = 0

    @property
    def content_hash(self) -> str:
        """As `Shard.content` says it."""
        return f"{self.content % 2**128:032x}"


def read_parts(
    root: str, manifest: Manifest, shard: Shard, tally: Tally | None = None
) -> Iterator[Part]:
    """The user-days of a shard, about a row group at a time.

    Args:
        root: the dataset.
        tally: is added to, which costs the digest of every row; None for none.

    Raises:
        IntentError: the shard cannot be read.
    """
    schema = manifest.schema
    tracks = manifest.layout == "tracks"
    columns = needed_columns(schema) if tracks else regroup.needed_columns(schema)
    items = [(shard.path, i) for i in range(len(shard.row_groups))]
    tables = read_row_groups(str(root), items, columns, workers=1, prefetch=1)
    if not tracks:
        read = (_counted(table, schema, tally) for table in tables)
        yield from _parts_of(regroup.track_rows(read, schema), schema)
        return
    for table in tables:
        unit = read_unit(table, schema, schema)
        users = table["user_id"].to_numpy()
        part = Part(users, table["groups"].to_numpy().astype(np.int64), unit)
        if tally is not None:
            tally.rows += table.num_rows
            tally.row_groups.append(unit.groups)
            tally.content += content(table, shard.day)
        yield part


@contextmanager
def open_parquet(place: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file at a path or a URL, nothing of it read but its footer."""
    path = storage.local(place)
    if path is not None:
        with pq.ParquetFile(path) as file:
            yield file
        return
    fs, name = storage.filesystem(place)
    with storage.explained(place), fs.open(name, "rb") as stream, pq.ParquetFile(stream) as file:
        yield file


def rows_of(part: Part) -> Iterator[TrackRow]:
    """The track rows of a part."""
    unit, schema = part.unit, part.unit.schema
    bounds = {view.name: part.bounds(view.name) for view in schema.views}
    for r, (low, cuts) in enumerate(zip(part.first, part.cuts, strict=True)):
        own = slice(low, low + cuts)
        track = {name: slice(b[r], b[r + 1]) for name, b in bounds.items()}
        ends = [unit.end[name][own] - b[r] for name, b in bounds.items()]
        yield TrackRow(
            user_id=part.users[r],
            day=int(unit.at[low]) // DAY_MS * DAY_MS,
            ids={name: unit.ids[name][s] for name, s in track.items()},
            times={name: unit.times[name][s] for name, s in track.items()},
            cut_time=unit.at[own],
            cut_end=np.stack(ends, axis=1) if ends else np.zeros((cuts, 0), np.int64),
            labels=unit.labels[own],
            history=unit.history[own] if schema.history else np.zeros((cuts, 0), np.uint8),
            profile=unit.profile[low] if schema.profile else np.zeros(0, np.uint8),
        )


def part_of(rows: list[TrackRow], schema: Schema) -> Part:
    """The inverse of `rows_of`."""
    cuts = np.array([len(r.cut_time) for r in rows], np.int64)
    users = np.array([r.user_id for r in rows], object)
    low, end = {}, {}
    for i, view in enumerate(schema.views):
        lengths = np.array([len(r.times[view.name]) for r in rows], np.int64)
        low[view.name] = np.repeat(np.cumsum(lengths) - lengths, cuts)
        ends = np.concatenate([r.cut_end[:, i] for r in rows]).astype(np.int64)
        end[view.name] = low[view.name] + ends
    unit = Unit(
        schema=schema,
        ids={v.name: np.concatenate([r.ids[v.name] for r in rows]) for v in schema.views},
        times={v.name: np.concatenate([r.times[v.name] for r in rows]) for v in schema.views},
        low=low,
        end=end,
        at=np.concatenate([r.cut_time for r in rows]),
        labels=np.concatenate([r.labels for r in rows]),
        history=np.concatenate([r.history for r in rows]) if schema.history else None,
        profile=np.repeat([r.profile for r in rows], cuts, axis=0) if schema.profile else None,
        users=np.repeat(users, cuts),
    )
    return Part(users, cuts, unit)


def _counted(table: pa.Table, schema: Schema, tally: Tally | None) -> regroup.Groups:
    if tally is not None:
        tally.rows += table.num_rows
        tally.row_groups.append(table.num_rows)
        tally.content += sum(groups.row_digests(table))
    return regroup.read_groups(table, schema)


def _parts_of(rows: Iterable[TrackRow], schema: Schema, most: int = 4096) -> Iterator[Part]:
    held: list[TrackRow] = []
    cuts = 0
    for row in rows:
        held.append(row)
        cuts += len(row.cut_time)
        if cuts >= most:
            yield part_of(held, schema)
            held, cuts = [], 0
    if held:
        yield part_of(held, schema)
