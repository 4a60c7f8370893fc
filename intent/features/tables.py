"""The raw tables (DESIGN 3.1): their columns, and how a column is read whatever its file format.

A CSV file or a JSON line may give a number as text; a Parquet file gives it typed. Both come out
of `text`, `number` and `time_ms` the same, and what cannot be read is flagged, never raised.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from intent.schema import DAY_MS, HISTORY_ACTIONS, PROFILE


@dataclass(frozen=True)
class RawTable:
    """One kind of raw log.

    Attributes:
        name: folder or file stem under the logs folder.
        kind: small number that stands for the table in encoded records; also its sort rank.
        required: columns without which the table cannot be used.
        optional: columns that are null where the table lacks them.
    """

    name: str
    kind: int
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        return self.required + self.optional


RECEIVED = "received"  # when an event reached the server (epoch ms), where a log keeps it
COORDINATES = ("x", "y", "start_x", "start_y", "end_x", "end_y")

TOUCH = RawTable(  # the swipe view, Table 2a
    "touch",
    0,
    (
        "user_id",
        "timestamp",
        "action",
        "page",
        *COORDINATES,
        "duration_ms",
        "screen_width",
        "screen_height",
    ),
    (RECEIVED,),
)
TAP = RawTable(  # Table 2b
    "tap", 1, ("user_id", "timestamp", "event", "page", "button"), (RECEIVED,)
)
BROWSE = RawTable(  # section 3.2
    "browse",
    2,
    ("user_id", "timestamp", "type"),
    ("leaf_category", "top_category", "page", "stay_ms", "item_id", "price", RECEIVED),
)
HISTORY = RawTable("history", 3, ("user_id", "day", *HISTORY_ACTIONS))  # counts before the logs
PROFILE_TABLE = RawTable(  # Table 3e
    "profile", 4, ("user_id",), tuple(f.name for f in PROFILE)
)

TABLES = {t.name: t for t in (TOUCH, TAP, BROWSE, HISTORY, PROFILE_TABLE)}
EVENT_TABLES = {"touch": "swipe", "tap": "tap", "browse": "browse"}  # table -> view
NUMBERS = {  # columns that hold numbers; all others but the times hold text
    *COORDINATES, "duration_ms", "screen_width", "screen_height", "stay_ms", "price",
    *HISTORY_ACTIONS, *(f.name for f in PROFILE),
}  # fmt: skip
TIMES = {"timestamp", RECEIVED}
VIEW_TABLES = {view: table for table, view in EVENT_TABLES.items()}

TOUCH_ACTIONS = ("open_page", "leave_page", "swipe", "tap")  # ids 1..4
TAP_EVENTS = ("page", "button")  # ids 1..2
BROWSE_TYPES = ("browse", "search", "collect", "cart", "purchase")  # ids 1..5
LIMIT_MS = 2**53  # the year 287396; up to here float64 is exact
PURCHASE = BROWSE_TYPES.index("purchase") + 1


def text(column: pa.Array) -> pa.Array:
    """The column as strings, whatever its type; an empty string counts as null.

    A whole float loses its point (5.0 is "5"), NaN is null, a nested value is JSON, and bytes that
    are no UTF-8 are replaced.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):  # each distinct value once
        return text(column.dictionary).take(column.indices)
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        return text(column.storage)
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column)
    if not pa.types.is_string(kind):
        try:
            column = column.cast(pa.string())
        except (pa.ArrowException, UnicodeDecodeError):
            column = pa.array([_as_text(v) for v in column.to_pylist()], pa.string())
    return pc.if_else(pc.equal(column, ""), None, column)


def _as_text(value: object) -> str | None:
    """One value as text, where Arrow has no way for its type."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, default=_as_text, ensure_ascii=False)
    return str(value)


def number(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The column as float64 (NaN where there is none) and a mask of the values that are broken.

    Broken is what is there but is no finite number: text that is no decimal number (blanks around
    it do no harm), NaN, infinity, true and false, times, nested values.
    """
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        words = text(column)
        null = pc.is_null(words).to_numpy(zero_copy_only=False)
        column = _parsed(words)
    else:
        null = pc.is_null(column).to_numpy(zero_copy_only=False)
        column = column.cast(pa.float64(), safe=False)
    values = pc.fill_null(column, np.nan).to_numpy(zero_copy_only=False)
    finite = np.isfinite(values)
    # One zero and one NaN, so that equal rows have equal bytes whatever their columns' types were
    return np.where(finite, values + 0.0, np.nan), ~null & ~finite


def _parsed(words: pa.Array) -> pa.Array:
    """Strings as float64, null where they are no decimal number."""
    try:
        return words.cast(pa.float64())
    except pa.ArrowInvalid:  # for a single odd one
        words = pc.utf8_trim_whitespace(words)
        sound = pc.match_substring_regex(words, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        words = pc.utf8_ltrim(pc.if_else(sound, words, None), "+")
        return words.cast(pa.float64())


def time_ms(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Epoch milliseconds, UTC, as int64 (0 where unusable) and a mask of the unusable ones.

    A Parquet timestamp column of any unit is taken too. A number beyond all times is usable here,
    as +-LIMIT_MS: it is far outside whatever is observed.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        unit = column.type.unit
        bad = pc.is_null(column).to_numpy(zero_copy_only=False)
        values = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        if unit == "s":
            values = np.clip(values, -LIMIT_MS // 1000, LIMIT_MS // 1000) * 1000
        else:
            values = values // {"ms": 1, "us": 1000, "ns": 1_000_000}[unit]
    elif pa.types.is_int64(column.type):
        bad = pc.is_null(column).to_numpy(zero_copy_only=False)
        values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    else:
        found, _ = number(column)
        bad = ~np.isfinite(found)
        values = np.clip(np.where(bad, 0, found), -LIMIT_MS, LIMIT_MS).astype(np.int64)
    return np.clip(values, -LIMIT_MS, LIMIT_MS), bad


def day_ms(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """First millisecond of a day given as a date or as "YYYY-MM-DD", and a mask of broken ones."""
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        days = column.cast(pa.timestamp("ms"), safe=False).to_pandas()
    else:
        words = text(column).to_pandas()
        days = pd.to_datetime(words, format="%Y-%m-%d", errors="coerce")
    bad = days.isna().to_numpy()
    values = days.fillna(pd.Timestamp(0)).to_numpy("datetime64[ms]").astype(np.int64)
    return values // DAY_MS * DAY_MS, bad


def column_of(batch: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    """Column `name` as one array; all null where the batch has no such column."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        return pa.nulls(batch.num_rows)
    column = batch.column(index)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
