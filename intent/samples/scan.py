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
from intent.samples.columnar import TrackRow
from intent.samples.manifest import Manifest, Shard
from intent.samples.rowgroups import read_row_groups
from intent.samples.rows import Rows, content, decode_rows
from intent.samples.undersampling import is_negative
from intent.samples.units import Unit, needed_columns, unit_of
from intent.schema import Schema


@dataclass(frozen=True)
class Part:
    """The tracks of some user-days.

    Attributes:
        users: [R]; cuts: [R] number of groups of each row; actions: view -> [R] of its track.
        unit: their actions and their groups, row by row.
    """

    users: np.ndarray
    cuts: np.ndarray
    actions: dict[str, np.ndarray]
    unit: Unit

    @staticmethod
    def of(rows: Rows, schema: Schema) -> Part:
        """The groups of some rows."""
        return Part(rows.users, rows.cuts, rows.actions, unit_of(rows, schema))

    @property
    def first(self) -> np.ndarray:
        """[R] index of each row's first cut."""
        return np.cumsum(self.cuts) - self.cuts

    def bounds(self, view: str) -> np.ndarray:
        """[R + 1] where each row's track begins, and where the last one ends."""
        return np.r_[0, np.cumsum(self.actions[view])]


@dataclass
class Tally:
    """What was read of a shard.

    Attributes:
        rows: rows of the layout; row_groups: groups in each row group; negatives: those of them
            without any positive label.
        content: sum of the rows' digests, to be compared with the manifest's.
    """

    rows: int = 0
    row_groups: list[int] = field(default_factory=list)
    negatives: list[int] = field(default_factory=list)
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
        rows = decode_rows(table, schema, schema)
        if tally is not None:
            tally.rows += len(rows.users)
            tally.row_groups.append(len(rows.cut_time))
            tally.negatives.append(int(is_negative(rows.labels).sum()))
            tally.content += content(table, shard.day)
        yield Part.of(rows, schema)


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


def _counted(table: pa.Table, schema: Schema, tally: Tally | None) -> regroup.Groups:
    found = regroup.read_groups(table, schema)
    if tally is not None:
        tally.rows += table.num_rows
        tally.row_groups.append(table.num_rows)
        tally.negatives.append(int(is_negative(found.labels).sum()))
        tally.content += sum(groups.row_digests(table))
    return found


def _parts_of(rows: Iterable[TrackRow], schema: Schema, most: int = 4096) -> Iterator[Part]:
    held: list[TrackRow] = []
    cuts = 0
    for row in rows:
        held.append(row)
        cuts += len(row.cut_time)
        if cuts >= most:
            yield Part.of(Rows.of(held, schema), schema)
            held, cuts = [], 0
    if held:
        yield Part.of(Rows.of(held, schema), schema)
