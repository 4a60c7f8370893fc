"""Rows of CSV logs, every value as text: what a value is worth is for `intent.features.encode`.

Quotes are those of RFC 4180: a value in double quotes may hold commas, line breaks and doubled
quotes. Therefore a file cannot be cut at a line break, and is read by one task.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.csv

from intent.errors import IntentError
from intent.features.encode import BROKEN_ROW
from intent.features.log_io import opened

BLOCK = 8 << 20  # bytes that are parsed at a time, so also the longest row


def columns(path: str) -> list[str]:
    """Names in a file's first line, without blanks around them; none for an empty file."""
    with opened(path, "csv") as file:
        stream = io.TextIOWrapper(io.BufferedReader(file), "utf-8-sig", "replace", newline="")
        try:
            names = next((row for row in csv.reader(stream) if row), [])
        except csv.Error as error:
            raise IntentError(
                f"{path} does not begin with a line of column names ({error}); CSV logs need one"
            ) from None
        return [name.strip() for name in names]


def read(path: str, size: int, wanted: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """All rows of a file, as text; a row with too few or too many values is in BROKEN_ROW.

    Args:
        size: bytes of the file when it was listed.
        wanted: columns to read, as far as the file has them.
        rows: rows of a batch, at most.
    """
    # A name that stands there twice means its first column, as for most readers
    names: list[str] = []
    for i, name in enumerate(columns(path)):
        names.append(name if name and name not in names else f"\0{i}")
    if not names:
        return
    kept = [name for name in wanted if name in names]
    broken: deque[str] = (
        deque()
    )  # Arrow parses ahead in a thread of its own, and adds to it any time

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        broken.append(row.text)
        return "skip"

    with opened(path, "csv", size) as file:
        try:
            reader = pyarrow.csv.open_csv(
                pa.PythonFile(_Utf8(file), mode="r"),
                pyarrow.csv.ReadOptions(
                    use_threads=False,
                    block_size=BLOCK,
                    column_names=names,
                    skip_rows_after_names=1,
                ),
                pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
                pyarrow.csv.ConvertOptions(
                    check_utf8=False,  # it was mended on the way
                    column_types={name: pa.string() for name in names},
                    include_columns=kept or names[:1],
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                for start in range(0, batch.num_rows, rows):
                    yield batch.slice(start, rows)
                if broken:
                    yield broken_rows(_taken(broken), kept)
        except pa.ArrowInvalid as error:
            if "straddling" in str(error):
                raise IntentError(
                    f"{path} has a row of more than {BLOCK >> 20} MiB; most likely a quote is "
                    "opened and never closed: write quotes within values twice"
                ) from None
            raise
    if broken:
        yield broken_rows(_taken(broken), kept)


def _taken(texts: deque[str]) -> list[str]:
    """Takes out what is there now; what is added meanwhile stays."""
    return [texts.popleft() for _ in range(len(texts))]


def broken_rows(texts: list[str], names: Sequence[str]) -> pa.RecordBatch:
    """A batch of rows that could not be taken apart: null but for BROKEN_ROW."""
    nulls = [pa.nulls(len(texts), pa.string()) for _ in names]
    return pa.record_batch([*nulls, pa.array(texts, pa.string())], [*names, BROKEN_ROW])


class _Utf8(io.RawIOBase):
    """A stream with its byte order mark left off, and bytes that are no UTF-8 replaced."""

    def __init__(self, file: pa.NativeFile) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none only at the end."""
        while not self._ready:
            data = self._file.read(BLOCK)
            self._ready = self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        if size < 0:
            size = len(self._ready)
        head, self._ready = self._ready[:size], self._ready[size:]
        return head
