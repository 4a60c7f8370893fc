"""Raw rows to ids: what every row is worth; or the reason why it is worth nothing.

The ids are the features of one action (for the history table three int32 counts, for the profile
its ids). The two features that depend on other rows or on the cut, the swipe view's time gap and
the browse view's age, are left 0 and filled where they are known (`intent.samples.tracks`,
`intent.samples.windows`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intent.features import tables
from intent.features.encoders import ENCODERS, Checker, Columns
from intent.features.history import TIME_BITS
from intent.features.span import Span
from intent.features.tables import column_of
from intent.features.vocabulary import Dictionaries
from intent.features.words import Words
from intent.schema import BROWSE, PROFILE, SWIPE, TAP

OUTSIDE_SPAN = "outside_span"
BROKEN_ROW = "_corrupt_record"  # column in which a reader of text formats leaves a broken line
LATE, LATER_DAY = "late", "later_day"
DROPPED = (LATE, LATER_DAY)  # nothing is wrong with these rows, they are not wanted
LONGEST_USER = 1024  # bytes of a user's name
LONGEST_RAW = 16_384  # characters of an unusable row that are kept

# What tells rows of one user and moment apart. How long an event took to arrive is not part of it:
# an event that was sent twice is one event.
_NOT_HASHED = ("user_id", "timestamp", "day", tables.RECEIVED)
_NO_VALUE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Limits:
    """Which rows are wanted, by their time.

    Attributes:
        span: rows outside it are unusable; None takes any time from 1970 on.
        until: rows from here on (epoch ms) are not needed; None for all.
        late_ms: rows that took longer from happening to receipt are not wanted; None for all.
    """

    span: Span | None = None
    until: int | None = None
    late_ms: float | None = None


@dataclass(frozen=True)
class Encoded:
    """Rows of one raw table as ids, in the order of the rows.

    Attributes:
        table: the raw table.
        user: [n] whose row it is.
        time: [n] epoch ms (0 in the profile); of a day's counts the day's last millisecond.
        ids: [n, features].
        tie: [n] uint32, a hash of the row: equal for exact duplicates, and the order of rows that
            are otherwise equal.
        delay: [n] uint32, ms from happening to receipt; None where the table does not say.
        fault: [n] 0 where the row is usable, else k for `faults[k - 1]`.
    """

    table: tables.RawTable
    user: Words
    time: np.ndarray
    ids: np.ndarray
    tie: np.ndarray
    delay: np.ndarray | None
    fault: np.ndarray
    faults: tuple[str, ...]

    @property
    def reasons(self) -> list[str | None]:
        """Why each row is unusable or unwanted, None where it is neither."""
        names = (None, *self.faults)
        return [names[k] for k in self.fault]


def encode(
    table: str,
    batch: pa.RecordBatch | pa.Table,
    dictionaries: Dictionaries,
    limits: Limits = Limits(),  # noqa: B008  it is immutable
) -> Encoded:
    """Encode rows of a raw table.

    Args:
        table: name of a raw table, see `intent.features.tables.TABLES`.
        batch: its rows; missing optional columns are null.
        dictionaries: the vocabularies.
        limits: which rows are wanted.
    """
    raw, rows, check = tables.TABLES[table], Columns(batch), Checker(batch.num_rows)
    if batch.schema.get_field_index(BROKEN_ROW) >= 0:
        broken = pc.is_valid(column_of(batch, BROKEN_ROW)).to_numpy(zero_copy_only=False)
        check.flag("unparsable_row", broken)
    user = rows.word("user_id")
    check.flag("no_user", user.missing)
    check.flag("long_user", user.longer_than(LONGEST_USER))
    timestamp = np.zeros(batch.num_rows, np.int64)
    if "timestamp" in raw.columns:
        timestamp, bad = tables.time_ms(column_of(batch, "timestamp"))
        check.flag("no_time", bad)
        span = limits.span
        low, high = (span.start, span.end) if span else (0, 1 << TIME_BITS)
        check.flag(OUTSIDE_SPAN, (timestamp < low) | (timestamp >= high))
    ids, timestamp = ENCODERS[table](rows, dictionaries, check, timestamp)
    delay = _delay(batch, timestamp)
    if limits.late_ms is not None and delay is not None:
        check.flag(LATE, delay > limits.late_ms)
    if limits.until is not None:
        check.flag(LATER_DAY, timestamp >= limits.until)
    return Encoded(
        raw, user, timestamp, ids, _tie(rows, raw), delay, check.code, tuple(check.names)
    )


def _delay(batch: pa.RecordBatch | pa.Table, timestamp: np.ndarray) -> np.ndarray | None:
    """Ms from happening to receipt; 0 where it is unknown or a clock went ahead. uint32 [n]."""
    column = column_of(batch, tables.RECEIVED)
    if column.null_count == len(column):  # as in every JSON file that does not have it
        return None
    received, unknown = tables.time_ms(column)
    delay = np.where(unknown, 0, received - timestamp)
    return np.clip(delay, 0, 2**32 - 1).astype(np.uint32)


def _tie(rows: Columns, raw: tables.RawTable) -> np.ndarray:
    total = np.zeros(rows.batch.num_rows, np.uint64)
    for name in raw.columns:
        if name in _NOT_HASHED:
            continue
        if name in tables.NUMBERS:
            value, _ = rows.number(name)
            bits = np.where(np.isnan(value), _NO_VALUE, value.view(np.uint64))
        else:
            bits = rows.word(name).hashes()
        total = (total ^ bits) * np.uint64(0xBF58476D1CE4E5B9)
        total ^= total >> np.uint64(29)
    return (total >> np.uint64(32)).astype(np.uint32)


def ids_type(table: str) -> tuple[np.dtype, int]:
    """Type and number of the ids in a row of a raw table."""
    if table in tables.EVENT_TABLES:
        view = {v.name: v for v in (SWIPE, TAP, BROWSE)}[tables.EVENT_TABLES[table]]
        return view.dtype, view.width
    if table == "history":
        return np.dtype("<i4"), len(tables.HISTORY_ACTIONS)
    return np.dtype("u1"), len(PROFILE)


def raw_json(batch: pa.RecordBatch | pa.Table, rows: np.ndarray) -> list[str]:
    """The chosen rows as JSON text, for people to look at; very long ones are cut."""
    found, chosen = [], batch.take(pa.array(rows))
    columns = {name: _plain(column_of(chosen, name)) for name in chosen.schema.names}
    for values in zip(*columns.values(), strict=True):
        text = json.dumps(dict(zip(columns, values, strict=True)))
        cut = f"... ({len(text):,} characters)" if len(text) > LONGEST_RAW else ""
        found.append(text[:LONGEST_RAW] + cut)
    return found


def _plain(column: pa.Array) -> list:
    """Values that JSON knows: numbers as they are, anything else as text."""
    if pa.types.is_integer(column.type):
        return column.to_pylist()
    if pa.types.is_floating(column.type):
        return [v if v is None or np.isfinite(v) else str(v) for v in column.to_pylist()]
    return tables.text(column).to_pylist()
