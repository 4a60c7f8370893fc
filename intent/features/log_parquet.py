"""Rows of Parquet logs, a few row groups at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from intent.features.log_io import opened
from intent.features.tables import text

BUFFER = 1 << 20  # bytes of each column chunk that are held while it is read


def columns(path: str) -> list[str]:
    """Names of a file's columns."""
    with opened(path, "parquet") as file:
        return pq.ParquetFile(file).schema_arrow.names


def read(
    path: str, start: int, end: int, size: int, wanted: Sequence[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """The row groups whose middle lies in the bytes [start, end) of a file of `size` bytes.

    So ranges that cover the file give every row group once, wherever they are cut. Pages are
    checked against their checksums where the writer left any.

    Args:
        wanted: columns to read, as far as the file has them.
        rows: rows of a batch, at most.
    """
    with opened(path, "parquet", size) as file:
        # Local files are read page by page. On an object store a row group is fetched in few
        # large requests, which are held.
        remote = isinstance(file, pa.PythonFile)
        parquet = pq.ParquetFile(
            file,
            page_checksum_verification=True,
            buffer_size=0 if remote else BUFFER,
            pre_buffer=remote,
        )
        mine = [i for i, m in enumerate(middles(parquet.metadata, size)) if start <= m < end]
        there = set(parquet.schema_arrow.names)
        names = [name for name in wanted if name in there]
        if mine:
            for batch in parquet.iter_batches(rows, mine, names, use_threads=False):
                yield _valid(batch)


def middles(footer: pq.FileMetaData, size: int) -> list[int]:
    """Where in the file the middle byte of each row group is, always within [0, size)."""
    found = []
    for i in range(footer.num_row_groups):
        group = footer.row_group(i)
        chunks = [group.column(c) for c in range(group.num_columns)]
        begin = min((c.dictionary_page_offset or c.data_page_offset for c in chunks), default=0)
        middle = begin + sum(c.total_compressed_size for c in chunks) // 2
        found.append(min(max(middle, 0), size - 1))
    return found


def _valid(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with bytes that are no UTF-8 replaced; Parquet does not check what it is given."""
    for i, column in enumerate(batch.columns):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid:
                packed = column.cast(pa.large_binary())
                batch = batch.set_column(i, batch.schema.names[i], text(packed))
    return batch
