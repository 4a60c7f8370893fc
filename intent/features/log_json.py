"""Rows of JSON Lines logs: one object a line.

Arrow parses a block of lines at once. It refuses a block for one odd line, and says not which; so
a refused block is halved until few lines are left, and these are read by Python, one by one. There
a line that is no JSON object becomes a broken row, and every value comes out as text. A column may
thus be numbers in one batch and text in the next: `text`, `number` and `time_ms` of
`intent.features.tables` give the same for both, so what a row is worth does not depend on where a
file was cut, nor on the lines around it.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.json

from intent.errors import IntentError
from intent.features.encode import BROKEN_ROW
from intent.features.log_io import is_packed, opened
from intent.features.tables import NUMBERS, TIMES

BLOCK = 8 << 20  # bytes that are parsed at a time
LONGEST = 256 << 20  # bytes of a line, beyond which it is taken for a file of another kind
FEW = 64  # lines for which Arrow is not tried again
HEAD_LINES = 100  # of each file, in which the identifying columns must turn up
# Literals that Arrow takes for numbers and that are no JSON even by Python's generous rules
_ODD = re.compile(rb"-NaN|[:\[,]\s*-?Inf(?!inity)")


def columns(path: str) -> list[str] | None:
    """Keys of the first lines of a file; None where it has no line."""
    keys: dict[str, None] = {}
    seen = 0
    with opened(path, "json") as file:
        for block in line_blocks(file, 0, sys.maxsize, 1 << 16):
            for line in _lines(block)[: HEAD_LINES - seen]:
                seen += 1
                keys.update(dict.fromkeys(_object(line) or ()))
            if seen >= HEAD_LINES:
                break
    return list(keys) if seen else None


def read(
    path: str, start: int, end: int, size: int, wanted: Sequence[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """The lines that begin in the bytes [start, end) of a file of `size` bytes.

    So ranges that cover the file give every line once, wherever they are cut. Blank lines are no
    rows; a line that is no JSON object is in BROKEN_ROW. Bytes that are no UTF-8 are replaced.

    Args:
        wanted: keys to read.
        rows: rows of a batch, at most.
    """
    parser = _Parser(wanted)
    with opened(path, "json", size) as file:
        if is_packed(path):
            end = sys.maxsize
        for block in line_blocks(file, start, end):
            try:
                for batch in parser.batches(block):
                    for first in range(0, batch.num_rows, rows):
                        yield batch.slice(first, rows)
            except ValueError as error:
                raise IntentError(f"{path}: {error}") from error


def line_blocks(file: pa.NativeFile, start: int, end: int, size: int = BLOCK) -> Iterator[bytes]:
    """Whole lines, about `size` bytes at a time: those that begin in the bytes [start, end).

    A line begins behind a line feed, so the byte before `start` says whether one begins there.
    """
    held: list[bytes] = []  # the beginning of a line
    waiting = start > 0  # for the first line feed
    for data in _to_line_end(file, max(start - 1, 0), end, size):
        if waiting:
            _, feed, data = data.partition(b"\n")
            waiting = not feed
        if sum(map(len, held)) > LONGEST:
            raise IntentError(
                f"a line has more than {LONGEST >> 20} MiB; JSON Lines have one object a line"
            )
        cut = data.rfind(b"\n") + 1
        if cut:
            yield b"".join([*held, data[:cut]])
            held = []
        if data[cut:]:
            held.append(data[cut:])
    if held:
        yield b"".join(held)


def _to_line_end(file: pa.NativeFile, start: int, end: int, size: int) -> Iterator[bytes]:
    """The bytes from `start` to the end of the line that holds the byte before `end`."""
    if start:
        file.seek(start)
    while data := file.read(size):
        if start + len(data) >= end:
            stop = data.find(b"\n", max(end - 1 - start, 0)) + 1
            if stop:
                yield data[:stop]
                return
        yield data
        start += len(data)


class _Integer(str):
    """An integer as it is written."""


class _Decimal(str):
    """Any other number as it is written."""


def _integer(literal: str) -> _Integer:
    return _Integer("0" if literal == "-0" else literal)


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_Decimal, parse_constant=_Decimal)


class _Parser:
    """Parses blocks of lines; remembers how columns were typed, which makes it fast, no more."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self.wanted = list(wanted)
        self.types: dict[str, pa.DataType | None] = {}  # None: only Python gives its values as text

    def batches(self, block: bytes) -> Iterator[pa.RecordBatch]:
        """The rows of whole lines, in their order."""
        if not block.isascii():
            block = block.decode("utf-8", "replace").encode()
        block = block.removesuffix(b"\n")
        self._learn(map(_object, block.split(b"\n", 20)[:20]), again=False)
        batch = self._by_arrow(block, block.count(b"\n") + 1)
        if batch is not None:
            yield batch
        else:
            yield from self._halved(_lines(block))

    def _halved(self, lines: list[bytes]) -> Iterator[pa.RecordBatch]:
        if len(lines) <= FEW:
            if lines:
                yield self._by_python(lines)
            return
        batch = self._by_arrow(b"\n".join(lines), len(lines))
        if batch is not None:
            yield batch
            return
        half = len(lines) // 2
        yield from self._halved(lines[:half])
        yield from self._halved(lines[half:])

    def _by_arrow(self, block: bytes, lines: int) -> pa.RecordBatch | None:
        """All lines at once; None where Arrow cannot be left to it."""
        types = [self.types.get(name, _default(name)) for name in self.wanted]
        if None in types:
            return None
        # Arrow reads one object after another, whatever the lines. If every line begins and ends
        # with a brace, no object can go on over a line's end; then as many objects as lines are
        # one in each.
        if not block.startswith(b"{") or not block.endswith(b"}"):
            return None
        if block.count(b"}\n{") != lines - 1:
            return None
        if (b"NaN" in block or b"Inf" in block) and _ODD.search(block):
            return None
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(block),
                pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                pyarrow.json.ParseOptions(
                    explicit_schema=pa.schema(zip(self.wanted, types, strict=True)),
                    unexpected_field_behavior="ignore",
                ),
            )
        except pa.ArrowException:
            return None
        if table.num_rows != lines:
            return None
        return table.combine_chunks().to_batches()[0]

    def _by_python(self, lines: list[bytes]) -> pa.RecordBatch:
        objects = [_object(line) for line in lines]
        self._learn(objects, again=True)
        rows = [row if row is not None else {} for row in objects]
        columns = {
            name: _strings(
                [_text(row.get(name), line, name) for row, line in zip(rows, lines, strict=True)]
            )
            for name in self.wanted
        }
        if None in objects:
            columns[BROKEN_ROW] = _strings(
                [
                    line.decode() if row is None else None
                    for row, line in zip(objects, lines, strict=True)
                ]
            )
        return pa.record_batch(columns)

    def _learn(self, objects: Iterable[dict | None], again: bool) -> None:
        """Note how the columns are written that are not known yet, or again."""
        for row in filter(None, objects):
            for name in self.wanted:
                value = row.get(name)
                if value is not None and (again or name not in self.types):
                    self.types[name] = _type(name, value)


def _default(name: str) -> pa.DataType:
    if name in NUMBERS:
        return pa.float64()
    return pa.int64() if name in TIMES else pa.string()


def _type(name: str, value: object) -> pa.DataType | None:
    """Arrow's type for a column with this value, by which nothing of it is lost."""
    if isinstance(value, _Integer):
        return pa.float64() if name in NUMBERS else pa.int64()
    if isinstance(value, _Decimal):
        return pa.float64() if name in NUMBERS or name in TIMES else None
    return pa.string() if isinstance(value, str) else None


def _lines(block: bytes) -> list[bytes]:
    """The lines that are not blank, without blanks around them or a byte order mark."""
    lines = (line.strip().removeprefix(codecs.BOM_UTF8).strip() for line in block.split(b"\n"))
    return [line for line in lines if line]


def _object(line: bytes) -> dict | None:
    """The line's object, numbers as they are written; None if it is none."""
    try:
        row = _DECODER.decode(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _text(value: object, line: bytes, name: str) -> str | None:
    """A value as text; nested ones as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        value = json.loads(line)[name]  # with its numbers as numbers
    except ValueError:  # an integer of thousands of digits
        pass
    return json.dumps(value, ensure_ascii=False)


def _strings(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # halves of surrogate pairs, which JSON can write and UTF-8 cannot
        mended = [
            v and v.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for v in values
        ]
        return pa.array(mended, pa.string())
