"""The Parquet store of track rows: writes shards, and the metadata by which Petastorm opens them.

A shard's name is the checksum of its bytes. Two attempts at the same work write the same file
under the same name, and what no manifest names does not exist; so retries, speculation and a kill
at any moment do no harm.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from intent.samples.layout import arrow_schema, cells
from intent.samples.manifest import Shard, sha256
from intent.samples.tracks import TrackRow
from intent.schema import DAY_MS, Schema

COMPRESSION = "zstd"


def day_name(day_ms: int) -> str:
    """Epoch ms of a day's start as YYYY-MM-DD."""
    return str(np.datetime64(day_ms // DAY_MS, "D"))


class ShardWriter:
    """Writes the rows of one day and one task to one shard.

    Rows are gathered until they hold `groups_per_row_group` groups; a row group is the unit in
    which the shard is read.
    """

    def __init__(self, root: Path, day: int, schema: Schema, groups_per_row_group: int) -> None:
        self.root, self.day, self.schema = root, day_name(day), schema
        self.limit = groups_per_row_group
        self.folder = root / f"day={self.day}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.temporary = self.folder / f".writing-{os.getpid()}-{os.urandom(6).hex()}"
        self.writer = pq.ParquetWriter(
            self.temporary, arrow_schema(schema), compression=COMPRESSION, use_dictionary=False
        )
        self.pending: list[dict] = []
        self.pending_groups = 0
        self.rows = 0
        self.row_groups: list[int] = []
        self.positives = np.zeros(len(schema.tasks), np.int64)
        self.content = 0

    def add(self, row: TrackRow) -> None:
        """Append a row; rows come ordered by user."""
        values = cells(row, self.schema)
        digest = hashlib.blake2b(row.user_id.encode(), digest_size=16)
        digest.update(self.day.encode())
        for name, cell in values.items():
            digest.update(name.encode())
            digest.update(cell)
        self.content = (self.content + int.from_bytes(digest.digest(), "big")) % 2**128
        self.pending.append({"user_id": row.user_id, "groups": len(row.cut_time), **values})
        self.pending_groups += len(row.cut_time)
        self.positives += row.labels.sum(axis=0, dtype=np.int64)
        self.rows += 1
        if self.pending_groups >= self.limit:
            self._flush()

    def _flush(self) -> None:
        if self.pending:
            self.writer.write_table(pa.Table.from_pylist(self.pending, arrow_schema(self.schema)))
            self.row_groups.append(self.pending_groups)
            self.pending, self.pending_groups = [], 0

    def close(self) -> Shard:
        """Finish the file and give it the name of its content."""
        self._flush()
        self.writer.close()
        checksum = sha256(self.temporary)
        path = self.folder / f"part-{checksum[:16]}.parquet"
        os.replace(self.temporary, path)
        return Shard(
            path=str(path.relative_to(self.root)),
            day=self.day,
            rows=self.rows,
            groups=sum(self.row_groups),
            row_groups=self.row_groups,
            positives={
                t.name: int(n) for t, n in zip(self.schema.tasks, self.positives, strict=True)
            },
            size=path.stat().st_size,
            sha256=checksum,
            content=f"{self.content:032x}",
        )

    def abandon(self) -> None:
        """Remove what was written so far."""
        self.writer.close()
        self.temporary.unlink(missing_ok=True)


def write_shards(
    root: Path, rows: Iterator[TrackRow], schema: Schema, groups_per_row_group: int
) -> list[Shard]:
    """Write track rows to one shard a day; on any error nothing of them stays behind."""
    writers: dict[int, ShardWriter] = {}
    try:
        for row in rows:
            if row.day not in writers:
                writers[row.day] = ShardWriter(root, row.day, schema, groups_per_row_group)
            writers[row.day].add(row)
        return [writers[day].close() for day in sorted(writers)]
    except BaseException:
        for writer in writers.values():
            writer.abandon()
        raise


def write_petastorm_metadata(root: Path, arrow: pa.Schema, fields, shards: list[Shard]) -> None:
    """Write _common_metadata, by which any Petastorm reader opens the shards.

    Args:
        root: the dataset.
        arrow: its columns.
        fields: its Petastorm Unischema.
        shards: its files.
    """
    from petastorm.etl.dataset_metadata import ROW_GROUPS_PER_FILE_KEY, UNISCHEMA_KEY

    row_groups = {s.path: len(s.row_groups) for s in shards}
    metadata = {
        UNISCHEMA_KEY: pickle.dumps(fields, protocol=4),
        ROW_GROUPS_PER_FILE_KEY: json.dumps(row_groups).encode(),
    }
    temporary = root / f".common-{os.getpid()}"
    pq.write_metadata(arrow.with_metadata(metadata), temporary)
    os.replace(temporary, root / "_common_metadata")
