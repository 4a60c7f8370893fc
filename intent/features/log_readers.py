"""Rows of raw logs as Arrow batches, without Spark: Parquet, JSON Lines and CSV.

A Spark task reads its split with this, the device and the tests whole tables; so all see the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from intent.features import log_csv, log_json, log_parquet
from intent.features.encode import BROKEN_ROW
from intent.features.log_files import LogFile, Split, header, splits
from intent.features.tables import TABLES, TIMES, RawTable, column_of, text, time_ms

BATCH_ROWS = 250_000


def read_split(split: Split, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a split, at most BATCH_ROWS a batch, in little memory.

    A batch has those of the columns that its file has. Values come as the file types them, or as
    text: `intent.features.tables` reads both alike. A row of a text format that cannot be taken
    apart is null but for the column BROKEN_ROW, which has its text.

    Args:
        split: made by `intent.features.log_files.splits`.
        columns: columns to read; by default all that the table may have.

    Raises IntentError for whatever is wrong with a file; it names the file and what to do.
    """
    wanted = list(TABLES[split.table].columns if columns is None else columns)
    for part in split.parts:
        if part.kind == "parquet":  # an import leaves what it could not understand in BROKEN_ROW
            there = [*wanted, BROKEN_ROW]
            yield from log_parquet.read(
                part.path, part.start, part.end, part.size, there, BATCH_ROWS
            )
        elif part.kind == "json":
            yield from log_json.read(part.path, part.start, part.end, part.size, wanted, BATCH_ROWS)
        else:
            yield from log_csv.read(part.path, part.size, wanted, BATCH_ROWS)


def read_table(table: RawTable, files: list[LogFile]) -> pa.Table:
    """All rows of a raw table, for logs that fit into memory.

    Raises IntentError as `header` and `read_split` do.
    """
    _, names = header(table, files)
    wanted = [name for name in table.columns if name in names]
    parts = [pa.table([pa.nulls(0)] * len(wanted), names=wanted)]
    for split in splits(table.name, files):
        parts += [pa.Table.from_batches([batch]) for batch in read_split(split, wanted)]
    for name in {name for part in parts for name in part.column_names}:
        parts = _alike(parts, name)
    return pa.concat_tables(parts, promote_options="permissive")


def _alike(parts: list[pa.Table], name: str) -> list[pa.Table]:
    """The parts with column `name` of one type: its own where all agree, else text."""
    types = {part.schema.field(name).type for part in parts if name in part.column_names}
    if len(types - {pa.null()}) <= 1:
        return parts
    done = []
    for part in parts:
        if name in part.column_names:
            column = column_of(part, name)
            if name in TIMES and pa.types.is_timestamp(column.type):
                column = _milliseconds(column)
            part = part.set_column(part.column_names.index(name), name, text(column))
        done.append(part)
    return done


def _milliseconds(column: pa.Array) -> pa.Array:
    values, bad = time_ms(column)
    return pa.array(values, mask=bad)
