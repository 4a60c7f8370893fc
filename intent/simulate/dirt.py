"""What real logs are full of: duplicates, bots, broken rows, wrong clocks, views never collected.

Dirt is added to clean rows, which stay what they are without it, except where a clock is wrong or
a view is missing: then that user's rows are changed or taken away. Everything done is counted.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intent.schema import DAY_MS
from intent.simulate.parameters import Parameters
from intent.simulate.tables import SCHEMAS, VIEWS, user_names

FAR_FUTURE_MS = 4_102_444_800_000  # the year 2100
BREAKS = {
    "touch": (
        "null_user", "null_timestamp", "negative_timestamp", "future_timestamp", "unknown_action",
        "nan_coordinate", "off_screen", "negative_duration",
    ),
    "tap": (
        "null_user", "null_timestamp", "negative_timestamp", "future_timestamp", "unknown_action",
    ),
    "browse": (
        "null_user", "null_timestamp", "negative_timestamp", "future_timestamp", "unknown_action",
        "negative_duration",
    ),
}  # fmt: skip
_ACTION = {"touch": "action", "tap": "event", "browse": "type"}
_DURATION = {"touch": "duration_ms", "browse": "stay_ms"}


def break_row(row: dict, how: str, view: str) -> dict | None:
    """A copy of `row` of `view` made unusable for the reason `how`; None if it cannot be.

    Pages that are opened and left have no position to break.
    """
    if how in ("nan_coordinate", "off_screen"):
        name = next((n for n in ("y", "start_y") if row[n] is not None), None)
        value = float("nan") if how == "nan_coordinate" else 3.0 * row["screen_height"]
        return None if name is None else row | {name: value}
    column, value = {
        "null_user": ("user_id", None),
        "null_timestamp": ("timestamp", None),
        "negative_timestamp": ("timestamp", -1),
        "future_timestamp": ("timestamp", FAR_FUTURE_MS),
        "unknown_action": (_ACTION[view], "hover"),
        "negative_duration": (_DURATION.get(view), -5),
    }[how]
    return row | {column: value}


def bot_rows(name: str, begin_ms: int, actions: int, gap_ms: int) -> dict[str, list[dict]]:
    """A program that taps one spot at a fixed, inhuman pace: rows for touch and tap."""
    touch = dict.fromkeys(SCHEMAS["touch"].names) | {
        "user_id": name, "action": "tap", "page": "Page_Home", "x": 540.0, "y": 960.0,
        "screen_width": 1080, "screen_height": 1920,
    }  # fmt: skip
    tap = {"user_id": name, "event": "page", "page": "Page_Home", "button": None}
    times = range(begin_ms, begin_ms + actions * gap_ms, gap_ms)
    return {
        "touch": [touch | {"timestamp": time} for time in times],
        "tap": [tap | {"timestamp": time} for time in times],
    }


class Dirty:
    """Soils a shop, one cell's day at a time, and counts what it did in `counts`."""

    def __init__(self, users: int, start_ms: int, parameters: Parameters) -> None:
        self.users, self.start_ms, self.dirt = users, start_ms, parameters.dirt
        names = ("duplicates", "bots", "bot_rows", "skewed_users", "skewed_rows")
        self.counts: dict = dict.fromkeys((*names, "viewless_users", "viewless_rows", "broken"), 0)
        self.counts["broken_by"] = {}
        self.skew: dict[str, int] = {}
        self.viewless: dict[str, str] = {}

    def enter(self, index: np.ndarray, rng: np.random.Generator) -> None:
        """Chooses among the users `index` of a new cell whose clock is off and who lacks a view."""
        limit = self.dirt.skew_minutes * 60_000
        names = np.array(user_names(index))
        shifts = rng.uniform(-limit, limit, len(names)).astype(int)
        skewed = rng.random(len(names)) < self.dirt.skewed_users
        without = rng.random(len(names)) < self.dirt.viewless_users
        views = rng.integers(len(VIEWS), size=len(names))
        self.skew = {str(n): int(s) for n, s in zip(names[skewed], shifts[skewed], strict=True)}
        self.viewless = {
            str(n): VIEWS[v] for n, v in zip(names[without], views[without], strict=True)
        }
        self.counts["skewed_users"] += len(self.skew)
        self.counts["viewless_users"] += len(self.viewless)
        self.counts["bots"] += 1

    def soil(
        self,
        tables: dict[str, pa.Table],
        cell: int,
        day: int,
        rate: float,
        rng: np.random.Generator,
    ) -> dict[str, pa.Table]:
        """Touch, tap and browse of one cell's day with dirt in them."""
        robot = bot_rows(
            user_names([self.users + cell])[0],
            self.start_ms + day * DAY_MS + int(rng.uniform(1, 23) * 3_600_000),
            max(20, int(self.dirt.bot_actions * rate)),
            self.dirt.bot_gap_ms,
        )
        out = {}
        for view, table in tables.items():
            table = self._shift(self._without(table, view))
            extra = robot.get(view, [])
            self.counts["bot_rows"] += len(extra)
            broken = self._broken(table, view, rng)
            twice = np.flatnonzero(rng.random(len(table)) < self.dirt.duplicates)
            self.counts["duplicates"] += len(twice)
            added = pa.Table.from_pylist(extra + broken, schema=SCHEMAS[view])
            out[view] = pa.concat_tables([table, added, table.take(pa.array(twice))])
        return out

    def _without(self, table: pa.Table, view: str) -> pa.Table:
        """`table` without the users whose `view` was never collected."""
        missing = [name for name, lacks in self.viewless.items() if lacks == view]
        if not missing:
            return table
        kept = table.filter(pc.invert(pc.is_in(table["user_id"], pa.array(missing, pa.string()))))
        self.counts["viewless_rows"] += len(table) - len(kept)
        return kept

    def _shift(self, table: pa.Table) -> pa.Table:
        """`table` with wrong clocks: all of a user's times are off by the same amount."""
        time = table["timestamp"]
        for name, shift in self.skew.items():
            theirs = pc.equal(table["user_id"], name)
            self.counts["skewed_rows"] += pc.sum(theirs).as_py() or 0
            time = pc.if_else(theirs, pc.add(time, shift), time)
        return table.set_column(table.column_names.index("timestamp"), "timestamp", time)

    def _broken(self, table: pa.Table, view: str, rng: np.random.Generator) -> list[dict]:
        """Broken copies of some rows, one kind of breakage each."""
        chosen = table.take(pa.array(np.flatnonzero(rng.random(len(table)) < self.dirt.broken)))
        ways = BREAKS[view]
        out = []
        for row, how in zip(
            chosen.to_pylist(), rng.integers(len(ways), size=len(chosen)), strict=True
        ):
            broken = break_row(row, ways[how], view)
            if broken is None:
                continue
            out.append(broken)
            by = self.counts["broken_by"]
            by[ways[how]] = by.get(ways[how], 0) + 1
        self.counts["broken"] += len(out)
        return out
