"""The Parquet store of track rows: writes shards, and the metadata by which Petastorm opens them.

A shard's name is the checksum of its bytes. Two attempts at the same work write the same file
under the same name, and what no manifest names does not exist; so retries, speculation and a kill
at any moment do no harm.
"""

from __future__ import annotations

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
from intent.samples.columnar import Rows, TrackRow
from intent.samples.layout import arrow_schema
from intent.samples.manifest import Shard
from intent.samples.rows import content, encode_rows
from intent.samples.undersampling import is_negative
from intent.schema import DAY_MS, Schema

COMPRESSION = "zstd"
LEVEL = 1  # of most columns: a feature by itself has little for higher levels to find, for 2-6x CPU
LEVELS = dict.fromkeys(("swipe_page", "swipe_action", "tap_page", "tap_event"), 6)  # but these have
MOST_BYTES = 128 << 20  # of rows that wait to be written, all days of a task together


def day_name(day_ms: int) -> str:
    """Epoch ms of a day's start as YYYY-MM-DD."""
    return str(np.datetime64(day_ms // DAY_MS, "D"))


def shard_path(day: str, checksum: str) -> str:
    """Where below a dataset the shard of a day with these bytes is."""
    return f"day={day}/part-{checksum[:16]}.parquet"


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
            self.temporary,
            arrow_schema(schema),
            compression=COMPRESSION,
            compression_level={n: LEVELS.get(n, LEVEL) for n in arrow_schema(schema).names},
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,  # a flipped bit is an error to whoever reads it
        )
        self.pending: list[Rows] = []
        self.pending_groups = self.pending_bytes = 0
        self.rows = 0
        self.row_groups: list[int] = []
        self.negatives: list[int] = []
        self.positives = np.zeros(len(schema.tasks), np.int64)
        self.content = 0

    def add_chunk(self, rows: Rows) -> None:
        """Append rows, ordered by user; their arrays are kept, so they must not be views."""
        self.rows += len(rows.users)
        groups = self.pending_groups + np.cumsum(rows.cuts)
        while groups[-1] >= self.limit:  # where a row group ends depends on its day's rows alone
            last = int(np.searchsorted(groups, self.limit)) + 1
            self._hold(rows.take(np.arange(last)))
            self.flush()
            if last == len(groups):
                return
            rows = rows.take(np.arange(last, len(groups)))
            groups = np.cumsum(rows.cuts)
        self._hold(rows)

    def _hold(self, rows: Rows) -> None:
        self.pending.append(rows)
        self.pending_groups += len(rows.cut_time)
        self.pending_bytes += rows.nbytes

    def flush(self) -> None:
        """Write what is held as a row group."""
        if not self.pending:
            return
        rows = Rows.concat(self.pending)
        table = encode_rows(rows, self.schema)
        self.content = (self.content + content(table, self.day)) % 2**128
        self.positives += rows.labels.sum(axis=0, dtype=np.int64)
        self.writer.write_table(table)
        self.row_groups.append(self.pending_groups)
        self.negatives.append(int(is_negative(rows.labels).sum()))
        self.pending, self.pending_groups, self.pending_bytes = [], 0, 0

    def close(self) -> Shard:
        """Finish the file and give it the name of its content."""
        self.flush()
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
            negatives=self.negatives,
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
    root: str,
    rows: Iterator[TrackRow],
    schema: Schema,
    groups_per_row_group: int,
    most_bytes: int = MOST_BYTES,
) -> list[Shard]:
    """`write_chunks` for single rows; those of a day come ordered by user."""
    chunks = ((np.array([row.day]), Rows.of([row], schema)) for row in rows)
    return write_chunks(root, chunks, schema, groups_per_row_group, most_bytes)


def write_chunks(
    root: str,
    chunks: Iterator[tuple[np.ndarray, Rows]],
    schema: Schema,
    groups_per_row_group: int,
    most_bytes: int = MOST_BYTES,
) -> list[Shard]:
    """Write track rows to one shard a day at `root`, a path or a URL.

    Rows of all days together hold about `most_bytes` at most before they are written; where that
    is not enough for `groups_per_row_group` groups of every day, row groups are smaller.

    On an error no unfinished file stays. A finished one may: another attempt at the same work may
    have written the very same, and needs it.

    Args:
        chunks: the day of each row [R] (its first ms) and R rows; those of a day come ordered by
            user, over all chunks. The arrays are not held on to.
    """
    writers: dict[int, ShardWriter] = {}
    held = 0
    try:
        for days, rows in chunks:
            for day in np.unique(days).tolist():
                mine = rows if len(days) == 1 else rows.take(np.flatnonzero(days == day))
                if day not in writers:
                    writers[day] = ShardWriter(root, day, schema, groups_per_row_group)
                held -= writers[day].pending_bytes
                writers[day].add_chunk(mine)
                held += writers[day].pending_bytes
                while held > most_bytes:
                    fullest = max(writers.values(), key=lambda w: w.pending_bytes)
                    held -= fullest.pending_bytes
                    fullest.flush()
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
