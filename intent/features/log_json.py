"""Rows of JSON Lines logs: one object a line.

Arrow parses a block of lines at once, and refuses it for one odd line. The odd ones are found and
read by Python, one by one. There a line that is no JSON object becomes a broken row, and every
value comes out as text. A column may thus be numbers in one batch and text in the next: `text`,
`number` and `time_ms` of `intent.features.tables` give the same for both, so what a row is worth
does not depend on where a file was cut, nor on the lines around it.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import NoneType

import pyarrow as pa
import pyarrow.json

from intent.errors import IntentError
from intent.features.encode import BROKEN_ROW
from intent.features.log_io import is_packed, opened
from intent.features.tables import NUMBERS, TIMES

BLOCK = 8 << 20  # bytes that are parsed at a time
LONGEST = 256 << 20  # bytes of a line, beyond which it is taken for a file of another kind
FEW = 32  # lines, for which it does not pay to call Arrow
STEP = 1024  # lines, at least, that Arrow is given
LEARNED = 20  # lines that tell how columns are written
HEAD_LINES = 100  # of each file, in which the identifying columns must turn up
_ROW = re.compile(r"in row (\d+)$")
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
                keys.update(dict.fromkeys(_object(line.decode("utf-8", "replace")) or ()))
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


def _integer(literal: str) -> str:
    return "0" if literal == "-0" else literal


# Numbers as they are written: nothing is rounded, and none is too large
_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=str, parse_constant=str)


class _Parser:
    """Parses blocks of lines; remembers how columns were typed, which makes it fast, no more."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self.wanted = list(wanted)
        self.types: dict[str, pa.DataType | None] = {}  # None: only Python gives its values as text

    def batches(self, block: bytes) -> Iterator[pa.RecordBatch]:
        """The rows of whole lines; those that Arrow refuses come last."""
        if not block.isascii():
            block = block.decode("utf-8", "replace").encode()
        block = block.removesuffix(b"\n")
        self._learn(block.split(b"\n", LEARNED)[:LEARNED], again=False)
        batch, _ = self._by_arrow(block, block.count(b"\n") + 1)
        if batch is not None:
            yield batch
            return
        lines = _lines(block)
        good, odd = self._sifted([x for x in lines if x.startswith(b"{") and x.endswith(b"}")])
        odd += [x for x in lines if not (x.startswith(b"{") and x.endswith(b"}"))]
        if good:
            yield pa.Table.from_batches(good).combine_chunks().to_batches()[0]
        if odd:
            yield self._by_python(odd)
        if len(odd) > len(lines) // 2:  # perhaps a column is written otherwise from here on
            self._learn(odd[-LEARNED:], again=True)

    def _sifted(self, lines: list[bytes]) -> tuple[list[pa.RecordBatch], list[bytes]]:
        """Batches of the lines that Arrow takes, and the lines that it does not.

        Where Arrow says which line it stumbled over, the ones before are parsed again without it
        and the search goes on behind it: two passes, however many odd lines there are. Where they
        stand close together that would be slow, so then a growing number goes to Python unseen.
        """
        good: list[pa.RecordBatch] = []
        odd: list[bytes] = []
        at, step, unseen = 0, len(lines), FEW
        while at < len(lines):
            tried = lines[at : at + step]
            batch, row = self._by_arrow(b"\n".join(tried), len(tried))
            if batch is not None:
                good.append(batch)
                at, step, unseen = at + len(tried), 4 * step, FEW
            elif row >= FEW:
                batch, _ = self._by_arrow(b"\n".join(tried[:row]), row)
                if batch is None:  # there is another one before it
                    step = row
                    continue
                good.append(batch)
                odd.append(tried[row])
                at, step, unseen = at + row + 1, max(2 * row, STEP), FEW
            elif row >= 0 or step <= STEP:
                odd += tried[:unseen]
                at, step, unseen = at + len(tried[:unseen]), STEP, min(2 * unseen, STEP)
            else:
                step = max(step // 4, STEP)
        return good, odd

    def _by_arrow(self, block: bytes, lines: int) -> tuple[pa.RecordBatch | None, int]:
        """All lines at once; or None, and the row over which Arrow stumbled (-1: not known)."""
        types = [self.types.get(name, _default(name)) for name in self.wanted]
        if None in types:
            return None, 0
        # Arrow reads one object after another, whatever the lines. If every line begins and ends
        # with a brace, no object can go on over a line's end; then as many objects as lines are
        # one in each.
        if not block.startswith(b"{") or not block.endswith(b"}"):
            return None, -1
        if block.count(b"}\n{") != lines - 1:
            return None, -1
        if (b"NaN" in block or b"Inf" in block) and _ODD.search(block):
            return None, -1
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(block),
                pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                pyarrow.json.ParseOptions(
                    explicit_schema=pa.schema(zip(self.wanted, types, strict=True)),
                    unexpected_field_behavior="ignore",
                ),
            )
        except pa.ArrowException as error:
            row = _ROW.search(str(error))
            return None, min(int(row[1]), lines - 1) if row else -1
        if table.num_rows != lines:
            return None, -1
        return table.combine_chunks().to_batches()[0], -1

    def _by_python(self, lines: list[bytes]) -> pa.RecordBatch:
        texts = b"\n".join(lines).decode().split("\n")
        objects = [_object(line) for line in texts]
        columns = {}
        for name in self.wanted:
            values = [None if row is None else row.get(name) for row in objects]
            if not set(map(type, values)) <= {str, NoneType}:
                values = [_text(v, line, name) for v, line in zip(values, texts, strict=True)]
            columns[name] = _strings(values)
        if None in objects:
            broken = [
                line if row is None else None for row, line in zip(objects, texts, strict=True)
            ]
            columns[BROKEN_ROW] = _strings(broken)
        return pa.record_batch(columns)

    def _learn(self, lines: Iterable[bytes], again: bool) -> None:
        """Note how the columns are written that are not known yet, or again."""
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            for name in self.wanted if isinstance(row, dict) else ():
                value = row.get(name)
                if value is not None and (again or name not in self.types):
                    self.types[name] = _type(name, value)


def _default(name: str) -> pa.DataType:
    if name in NUMBERS:
        return pa.float64()
    return pa.int64() if name in TIMES else pa.string()


def _type(name: str, value: object) -> pa.DataType | None:
    """Arrow's type for a column with this value, by which nothing of it is lost."""
    if isinstance(value, str):
        return pa.string()
    if isinstance(value, int) and not isinstance(value, bool):
        return pa.float64() if name in NUMBERS else pa.int64()
    if isinstance(value, float) and (name in NUMBERS or name in TIMES):
        return pa.float64()
    return None


def _lines(block: bytes) -> list[bytes]:
    """The lines that are not blank, without blanks around them or a byte order mark."""
    lines = (line.strip().removeprefix(codecs.BOM_UTF8).strip() for line in block.split(b"\n"))
    return [line for line in lines if line]


def _object(line: str) -> dict | None:
    """The object of a line without blanks around it, numbers as text; None if it is none."""
    try:
        row, end = _DECODER.scan_once(line, 0)
    except (ValueError, StopIteration, RecursionError):
        return None
    return row if isinstance(row, dict) and end == len(line) else None


def _text(value: object, line: str, name: str) -> str | None:
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
