"""What each raw table's columns are as ids, and which of its rows are broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from intent.features import discretize, tables
from intent.features.history import TIME_BITS
from intent.features.tables import column_of
from intent.features.vocabulary import Dictionaries
from intent.features.words import Words
from intent.schema import BROWSE, DAY_MS, PROFILE, SWIPE, TAP, View


class Columns:
    """The columns of a batch, each parsed once."""

    def __init__(self, batch: pa.RecordBatch | pa.Table) -> None:
        self.batch = batch
        self._words: dict[str, Words] = {}
        self._numbers: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def word(self, name: str) -> Words:
        """A column as text."""
        if name not in self._words:
            self._words[name] = Words.of(column_of(self.batch, name))
        return self._words[name]

    def number(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A column as float64 and which of its values are broken."""
        if name not in self._numbers:
            self._numbers[name] = tables.number(column_of(self.batch, name))
        return self._numbers[name]


class Checker:
    """Collects, for every row, the first reason that makes it unusable."""

    def __init__(self, rows: int) -> None:
        self.names: list[str] = []
        self.code = np.zeros(rows, np.int16)  # 0: usable; k: names[k - 1]

    def flag(self, reason: str, bad: np.ndarray) -> None:
        """Rows that are `bad` have this reason, if they have none so far."""
        self.names.append(reason)
        if bad.any():
            self.code[(self.code == 0) & bad] = len(self.names)


def _touch(
    rows: Columns, dictionaries: Dictionaries, check: Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    action = rows.word("action").among(tables.TOUCH_ACTIONS)
    check.flag("unknown_action", action == 0)
    value, broken = {}, np.zeros(len(action), bool)
    for name in (*tables.COORDINATES, "duration_ms", "screen_width", "screen_height"):
        value[name], bad = rows.number(name)
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
        "page": rows.word("page").ids(dictionaries["swipe.page"]),
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
    rows: Columns, dictionaries: Dictionaries, check: Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    event = rows.word("event").among(tables.TAP_EVENTS)
    check.flag("unknown_action", event == 0)
    column = {
        "event": event,
        "page": rows.word("page").ids(dictionaries["tap.page"]),
        "button": rows.word("button").ids(dictionaries["tap.button"]),
    }
    return _matrix(TAP, column), timestamp


def _browse(
    rows: Columns, dictionaries: Dictionaries, check: Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    kind = rows.word("type").among(tables.BROWSE_TYPES)
    check.flag("unknown_action", kind == 0)
    stay, broken = rows.number("stay_ms")
    check.flag("not_a_number", broken)
    with np.errstate(invalid="ignore"):
        check.flag("negative_duration", stay < 0)
    column = {
        "type": kind,
        "stay_time": discretize.stay_time(stay),
        **{
            name: rows.word(name).ids(dictionaries[f"browse.{name}"])
            for name in ("leaf_category", "top_category", "page")
        },
    }
    return _matrix(BROWSE, column), timestamp


def _history(
    rows: Columns, dictionaries: Dictionaries, check: Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Daily counts; a day's counts are taken as of its last millisecond."""
    start, bad = tables.day_ms(column_of(rows.batch, "day"))
    check.flag("no_time", bad | (start < 0) | (start + DAY_MS > 1 << TIME_BITS))
    counts = np.zeros((rows.batch.num_rows, len(tables.HISTORY_ACTIONS)), "<i4")
    for i, name in enumerate(tables.HISTORY_ACTIONS):
        value, broken = rows.number(name)
        check.flag("not_a_number", broken)
        with np.errstate(invalid="ignore"):
            check.flag("negative_count", value < 0)
        counts[:, i] = np.clip(np.nan_to_num(value), 0, 2**30)
    return counts, start + DAY_MS - 1


def _profile(
    rows: Columns, dictionaries: Dictionaries, check: Checker, timestamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    columns = [discretize.level(rows.number(feature.name)[0], feature) for feature in PROFILE]
    return np.stack(columns, axis=1).astype("u1"), timestamp


ENCODERS: Mapping[str, Callable] = {
    "touch": _touch,
    "tap": _tap,
    "browse": _browse,
    "history": _history,
    "profile": _profile,
}


def _matrix(view: View, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Features side by side in the view's order and type, [rows, features]."""
    rows = len(next(iter(columns.values())))
    ids = np.zeros((rows, view.width), view.dtype)
    for name, column in columns.items():
        ids[:, view.column(name)] = column
    return ids
