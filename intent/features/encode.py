"""Raw rows to records: what every row is worth, as ids; or the reason why it is worth nothing.

A record is (user_id, kind, timestamp, ids, row_hash, reason, raw). `ids` are the packed features
of one action (for the history table three int32 counts, for the profile its ids); the two
features that depend on other rows or on the cut, the swipe view's time gap and the browse view's
age, are left 0 and filled where they are known (`intent.samples.tracks`, `intent.samples.windows`).
A record with a reason goes to quarantine and keeps its row as JSON in `raw`.

Records sorted by `ORDER` are the one canonical order of a user's life: it depends on nothing but
the rows themselves, so ties at one millisecond come out the same everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from intent.features import discretize, tables
from intent.features.history import TIME_BITS
from intent.features.span import Span
from intent.features.tables import column_of
from intent.features.vocabulary import Dictionaries, Vocabulary
from intent.schema import BROWSE, DAY_MS, PROFILE, SWIPE, TAP, View

RECORD = pa.schema(
    [
        ("user_id", pa.string()),
        ("kind", pa.int8()),
        ("timestamp", pa.int64()),
        ("ids", pa.binary()),
        ("row_hash", pa.int64()),
        ("reason", pa.string()),
        ("raw", pa.string()),
    ]
)
ORDER = ("user_id", "kind", "timestamp", "ids", "row_hash")

OUTSIDE_SPAN = "outside_span"
BROKEN_ROW = "_corrupt_record"  # column in which a reader of text formats leaves a broken line


class _Checker:
    """Collects, for every row, the first reason that makes it unusable."""

    def __init__(self, rows: int) -> None:
        self.names: list[str] = []
        self.code = np.zeros(rows, np.int16)  # 0: usable; k: names[k - 1]

    def flag(self, reason: str, bad: np.ndarray) -> None:
        self.names.append(reason)
        self.code = np.where((self.code == 0) & bad, len(self.names), self.code)

    @property
    def usable(self) -> np.ndarray:
        return self.code == 0

    def reasons(self) -> pa.Array:
        return pa.array([None, *self.names], pa.string()).take(pa.array(self.code))


def encode(
    table: str,
    batch: pa.RecordBatch | pa.Table,
    dictionaries: Dictionaries,
    span: Span | None = None,
) -> pa.Table:
    """Encode rows of raw table `table` as records, one for each row, in the order of the rows.

    Args:
        table: name of a raw table, see `intent.features.tables.TABLES`.
        batch: its rows; missing optional columns are null.
        dictionaries: the vocabularies.
        span: rows outside it are unusable ("outside_span"); None takes any time from 1970 on.
    """
    raw = tables.TABLES[table]
    check = _Checker(batch.num_rows)
    if batch.schema.get_field_index(BROKEN_ROW) >= 0:
        broken = pc.is_valid(column_of(batch, BROKEN_ROW)).to_numpy(zero_copy_only=False)
        check.flag("unparsable_row", broken)
    user = tables.text(column_of(batch, "user_id"))
    check.flag("no_user", pc.is_null(user).to_numpy(zero_copy_only=False))
    timestamp = np.zeros(batch.num_rows, np.int64)
    if "timestamp" in raw.columns:
        timestamp, bad = tables.time_ms(column_of(batch, "timestamp"))
        check.flag("no_time", bad)
        low, high = (span.start, span.end) if span else (0, 1 << TIME_BITS)
        check.flag(OUTSIDE_SPAN, (timestamp < low) | (timestamp >= high))
    ids, timestamp = _ENCODERS[table](batch, dictionaries, check, timestamp)
    bad_rows = np.flatnonzero(~check.usable)
    return pa.table(
        [
            user,
            pa.array(np.full(batch.num_rows, raw.kind, np.int8)),
            pa.array(timestamp),
            pack(ids),
            pa.array(row_hash(batch, raw.columns)),
            check.reasons(),
            _raw_json(batch, bad_rows),
        ],
        schema=RECORD,
    )


def _touch(
    batch: pa.RecordBatch, dictionaries: Dictionaries, check: _Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    action = _word(batch, "action", tables.TOUCH_ACTIONS)
    check.flag("unknown_action", action == 0)
    value, broken = {}, np.zeros(len(action), bool)
    for name in (*tables.COORDINATES, "duration_ms", "screen_width", "screen_height"):
        value[name], bad = tables.number(column_of(batch, name))
        broken |= bad
    check.flag("not_a_number", broken)
    width, height = value["screen_width"], value["screen_height"]
    tap, swipe = action == 4, action == 3
    ends = ("start_x", "start_y", "end_x", "end_y")
    with np.errstate(invalid="ignore"):
        check.flag("no_screen", (tap | swipe) & ~((width > 0) & (height > 0)))
        missing = tap & (np.isnan(value["x"]) | np.isnan(value["y"]))
        missing |= swipe & np.any([np.isnan(value[n]) for n in ends], axis=0)
        check.flag("no_coordinates", missing)
        off = np.zeros(len(action), bool)
        for name in tables.COORDINATES:
            size = width if name.endswith("x") else height
            off |= (value[name] < 0) | (value[name] > size)
        check.flag("off_screen", off)
        check.flag("negative_duration", value["duration_ms"] < 0)
    for name in ("x", "y"):
        value[name] = np.where(tap, value[name], np.nan)
    for name in (*ends, "duration_ms"):
        value[name] = np.where(swipe, value[name], np.nan)
    start_x, start_y, end_x, end_y = (value[n] for n in ends)
    column: Mapping[str, np.ndarray] = {
        "page": _names(batch, "page", dictionaries["swipe.page"]),
        "action": action,
        "tap_x": discretize.position(value["x"], width, 17),
        "tap_y": discretize.position(value["y"], height, 25),
        "start_x": discretize.position(start_x, width, 17),
        "start_y": discretize.position(start_y, height, 25),
        "end_x": discretize.position(end_x, width, 17),
        "end_y": discretize.position(end_y, height, 25),
        "length_x": discretize.swipe_length(start_x, end_x, width, 17),
        "length_y": discretize.swipe_length(start_y, end_y, height, 25),
        "right_left": discretize.direction(start_x, end_x, first_is_positive=True),
        "up_down": discretize.direction(start_y, end_y, first_is_positive=False),
        "duration": discretize.duration(value["duration_ms"]),
    }
    return _matrix(SWIPE, column), timestamp


def _tap(
    batch: pa.RecordBatch, dictionaries: Dictionaries, check: _Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    event = _word(batch, "event", tables.TAP_EVENTS)
    check.flag("unknown_action", event == 0)
    column = {
        "event": event,
        "page": _names(batch, "page", dictionaries["tap.page"]),
        "button": _names(batch, "button", dictionaries["tap.button"]),
    }
    return _matrix(TAP, column), timestamp


def _browse(
    batch: pa.RecordBatch, dictionaries: Dictionaries, check: _Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    kind = _word(batch, "type", tables.BROWSE_TYPES)
    check.flag("unknown_action", kind == 0)
    stay, broken = tables.number(column_of(batch, "stay_ms"))
    check.flag("not_a_number", broken)
    with np.errstate(invalid="ignore"):
        check.flag("negative_duration", stay < 0)
    column = {
        "type": kind,
        "stay_time": discretize.stay_time(stay),
        **{
            name: _names(batch, name, dictionaries[f"browse.{name}"])
            for name in ("leaf_category", "top_category", "page")
        },
    }
    return _matrix(BROWSE, column), timestamp


def _history(
    batch: pa.RecordBatch, dictionaries: Dictionaries, check: _Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Daily counts; a day's counts are taken as of its last millisecond."""
    start, bad = tables.day_ms(column_of(batch, "day"))
    check.flag("no_time", bad | (start < 0) | (start >= 1 << TIME_BITS))
    counts = np.zeros((batch.num_rows, len(tables.HISTORY_ACTIONS)), "<i4")
    for i, name in enumerate(tables.HISTORY_ACTIONS):
        value, broken = tables.number(column_of(batch, name))
        check.flag("not_a_number", broken)
        with np.errstate(invalid="ignore"):
            check.flag("negative_count", value < 0)
        counts[:, i] = np.clip(np.nan_to_num(value), 0, 2**30)
    return counts, start + DAY_MS - 1


def _profile(
    batch: pa.RecordBatch, dictionaries: Dictionaries, check: _Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    columns = [
        discretize.level(tables.number(column_of(batch, feature.name))[0], feature)
        for feature in PROFILE
    ]
    return np.stack(columns, axis=1).astype("u1"), timestamp


_ENCODERS: Mapping[str, Callable] = {
    "touch": _touch,
    "tap": _tap,
    "browse": _browse,
    "history": _history,
    "profile": _profile,
}


def _word(batch: pa.RecordBatch, column: str, words: tuple[str, ...]) -> np.ndarray:
    """Ids 1.. of a column that has few, fixed words; 0 for anything else. int64 [rows]."""
    found = pc.index_in(tables.text(column_of(batch, column)), value_set=pa.array(words))
    return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64) + 1


def _names(batch: pa.RecordBatch, column: str, vocabulary: Vocabulary) -> np.ndarray:
    """Ids of a name: 0 where there is none, 1 where it is not in the dictionary. int64 [rows]."""
    return vocabulary.ids(tables.text(column_of(batch, column)))


def _matrix(view: View, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Features side by side in the view's order and type, [rows, features]."""
    rows = len(next(iter(columns.values())))
    ids = np.zeros((rows, view.width), view.dtype)
    for name, column in columns.items():
        ids[:, view.column(name)] = column
    return ids


def pack(matrix: np.ndarray) -> pa.Array:
    """A matrix [n, f] as n binary values of its rows' bytes, without copying row by row."""
    matrix = np.ascontiguousarray(matrix)
    stride = matrix.shape[1] * matrix.itemsize
    offsets = np.arange(0, (len(matrix) + 1) * stride, stride, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(matrix)]
    return pa.Array.from_buffers(pa.binary(), len(matrix), buffers)


def unpack(column: pa.Array, dtype: np.dtype, width: int) -> np.ndarray:
    """The inverse of `pack`: binary values of equal length as a matrix [n, width]."""
    if not len(column):
        return np.zeros((0, width), dtype)
    first = np.frombuffer(column.buffers()[1], np.int32)[column.offset]
    size = len(column) * width
    return np.frombuffer(column.buffers()[2], dtype, size, offset=int(first)).reshape(-1, width)


def row_hash(batch: pa.RecordBatch | pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    """A hash of each row's values, equal for exact duplicates. int64 [rows]."""
    total = np.zeros(batch.num_rows, np.uint64)
    for name in columns:
        if batch.schema.get_field_index(name) >= 0:
            total = total * np.uint64(0x9E3779B97F4A7C15) + _hash(column_of(batch, name))
    return total.view(np.int64)


def _hash(column: pa.Array) -> np.ndarray:
    """uint64 hash of each value; null hashes as 0."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
        hashed = pd.util.hash_array(values)
    else:  # each distinct text once
        encoded = tables.text(column).dictionary_encode()
        words = encoded.dictionary.to_numpy(zero_copy_only=False)
        codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
        distinct = pd.util.hash_array(words.astype(object), categorize=False)
        hashed = distinct[codes] if len(distinct) else np.zeros(len(column), np.uint64)
    return np.where(pc.is_null(column).to_numpy(zero_copy_only=False), np.uint64(0), hashed)


def _raw_json(batch: pa.RecordBatch | pa.Table, rows: np.ndarray) -> pa.Array:
    """The chosen rows as JSON text, null elsewhere."""
    out = np.full(batch.num_rows, None, object)
    if len(rows):
        for row, values in zip(rows, batch.take(pa.array(rows)).to_pylist(), strict=True):
            out[row] = json.dumps(values, default=str)
    return pa.array(out, pa.string())
