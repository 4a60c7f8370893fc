"""The Parquet store of track rows: writes shards, and the metadata by which Petastorm opens them.

A shard's name is the checksum of its bytes. Two attempts at the same work write the same file
under the same name, and what no manifest names does not exist; so retries, speculation and a kill
at any moment do no harm.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from intent import storage
from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples.layout import arrow_schema, cells
from intent.samples.manifest import Shard
from intent.samples.tracks import TrackRow
from intent.schema import DAY_MS, Schema

COMPRESSION = "zstd"


def day_name(day_ms: int) -> str:
    """Epoch ms of a day's start as YYYY-MM-DD."""
    return str(np.datetime64(day_ms // DAY_MS, "D"))


def shard_path(day: str, checksum: str) -> str:
    """Where below a dataset the shard of a day with these bytes is."""
    return f"day={day}/part-{checksum[:16]}.parquet"


def row_digest(user_id: str, day: str, values: dict[str, bytes]) -> int:
    """A row's part of the content hash, from its cells (`layout.cells`), below 2**128."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=16)
    digest.update(day.encode())
    for name, cell in values.items():
        digest.update(name.encode())
        digest.update(cell)
    return int.from_bytes(digest.digest(), "big")


class ShardWriter:
    """Writes the rows of one day and one task to one shard.

    Rows are gathered until they hold `groups_per_row_group` groups; a row group is the unit in
    which the shard is read.
    """

    def __init__(self, root: str, day: int, schema: Schema, groups_per_row_group: int) -> None:
        self.root, self.day, self.schema = root, day_name(day), schema
        self.limit = groups_per_row_group
        self.temporary = storage.scratch(storage.join(root, f"day={self.day}"))
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
        self.content = (self.content + row_digest(row.user_id, self.day, values)) % 2**128
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
        checksum, size = storage.sha256(self.temporary), self.temporary.stat().st_size
        path = shard_path(self.day, checksum)
        storage.publish(self.temporary, storage.join(self.root, path))
        return Shard(
            path=path,
            day=self.day,
            rows=self.rows,
            groups=sum(self.row_groups),
            row_groups=self.row_groups,
            positives={
                t.name: int(n) for t, n in zip(self.schema.tasks, self.positives, strict=True)
            },
            size=size,
            sha256=checksum,
            content=f"{self.content:032x}",
        )

    def abandon(self) -> None:
        """Remove what was written so far and has no name yet."""
        try:
            self.writer.close()
        except OSError:  # the disk is full, say; whoever gives up knows that already
            pass
        finally:
            self.temporary.unlink(missing_ok=True)


def write_shards(
    root: str, rows: Iterator[TrackRow], schema: Schema, groups_per_row_group: int
) -> list[Shard]:
    """Write track rows to one shard a day at `root`, a path or a URL.

    On an error no unfinished file stays. A finished one may: another attempt at the same work may
    have written the very same, and needs it.
    """
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


def write_petastorm_metadata(root: str, arrow: pa.Schema, fields, shards: list[Shard]) -> None:
    """Write _common_metadata, by which any Petastorm reader opens the shards.

    To be called before the manifest is written: until then, and until the tidying after it, the
    files of the old dataset are there, so it names those too.

    Args:
        root: the dataset, a path or a URL.
        arrow: its columns.
        fields: its Petastorm Unischema.
        shards: its files.
    """
    from petastorm.etl.dataset_metadata import ROW_GROUPS_PER_FILE_KEY, UNISCHEMA_KEY

    try:
        shards = [*manifests.load(root).shards, *shards]
    except IntentError:
        pass  # it is the first dataset there
    row_groups = {s.path: len(s.row_groups) for s in shards}
    metadata = {
        UNISCHEMA_KEY: pickle.dumps(fields, protocol=4),
        ROW_GROUPS_PER_FILE_KEY: json.dumps(row_groups).encode(),
    }
    written = io.BytesIO()
    pq.write_metadata(arrow.with_metadata(metadata), written)
    storage.write_atomically(storage.join(root, "_common_metadata"), written.getvalue())
