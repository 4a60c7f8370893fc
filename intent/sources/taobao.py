"""Alibaba's UserBehavior log: user_id, item_id, category_id, behavior, epoch seconds; no header.

pv (an item's page is seen) becomes browse, fav collect, cart cart, buy purchase; the category
becomes leaf_category. The log has no pages, stay times, prices or category tree: those are null.
Days are UTC days, as everywhere here; the shop's own are eight hours ahead.

A row with another number of fields, or whose time is no number, is kept as it stands and broken; a
behavior other than the four is kept as the type. `intent samples` quarantines all of these.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from intent.errors import IntentError
from intent.sources.browse_log import (
    broken_rows,
    browse_rows,
    renamed,
    the_file,
    whole_number,
    write,
)

COLUMNS = ("user_id", "item_id", "category_id", "behavior", "timestamp")
TYPES = {"pv": "browse", "fav": "collect", "cart": "cart", "buy": "purchase"}
BLOCK_BYTES = 8 * 2**20


def convert(src: Path, out: Path, advance: Callable[[int], object] = lambda rows: None) -> dict:
    """Write the log as OUT/browse/; see `intent.sources.convert`."""
    src = the_file(src, (".csv", ".csv.gz"))
    return write("taobao", src, out, rows(src), advance)


def rows(src: Path) -> Iterator[pa.Table]:
    """The log as `browse` rows, block by block."""
    header = _header(src)
    with pa.input_stream(str(src)) as stream:
        file = io.BufferedReader(stream)
        if header:
            file.readline()
        while lines := file.readlines(BLOCK_BYTES):
            yield from _block(pc.utf8_trim(_text(lines), "\ufeff\r\n"), header or COLUMNS)


def _header(src: Path) -> tuple[str, ...] | None:
    """The names in the first line, or None where it is a row; IntentError where it is neither."""
    with pa.input_stream(str(src)) as file:
        start = file.read(1 << 16).decode("utf-8", "replace").lstrip("\ufeff\r\n")
    first = start.splitlines()[0] if start else ""
    if not first:
        raise IntentError(f"{src} has no rows")
    fields = tuple(field.strip().strip('"') for field in first.split(","))
    expected = f"expected {', '.join(COLUMNS)} (epoch seconds), with or without a header"
    if any(field.isdigit() for field in fields):
        if len(fields) != len(COLUMNS):
            raise IntentError(
                f"{src}: the first line has {len(fields)} fields: {first[:80]}; {expected}"
            )
        return None
    if sorted(fields) != sorted(COLUMNS):
        raise IntentError(f"{src} has the columns {', '.join(fields)[:120]}; {expected}")
    return fields


def _block(lines: pa.Array, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """One block of lines: the rows that can be understood, then the others."""
    lines = lines.filter(pc.not_equal(lines, ""))
    fields = pc.split_pattern(lines, ",")
    whole = pc.equal(pc.list_value_length(fields), len(columns))
    fields = fields.filter(whole)
    text = {name: pc.list_element(fields, i) for i, name in enumerate(columns)}
    seconds = whole_number(text["timestamp"], digits=11)
    good = pc.is_valid(seconds)
    yield browse_rows(
        len(fields),
        user_id=text["user_id"],
        timestamp=pc.multiply(seconds, 1000),
        type=renamed(text["behavior"], TYPES),
        leaf_category=text["category_id"],
        item_id=text["item_id"],
    ).filter(good)
    broken = [*lines.filter(pc.invert(whole)), *lines.filter(whole).filter(pc.invert(good))]
    if broken:
        yield broken_rows(line.as_py() for line in broken)


def _text(lines: list[bytes]) -> pa.Array:
    """Bytes as text; bytes that are no UTF-8 become replacement characters."""
    try:
        return pa.array(lines, pa.string())
    except pa.ArrowInvalid:
        return pa.array([line.decode("utf-8", "replace") for line in lines], pa.string())
