"""The pool: the tracks of the row groups in memory, side by side, from which batches are sliced.

What the pool holds are tracks, not windows: of the simulated shop some 1.5 KiB a group instead of
8 KiB. All row groups share one set of long arrays, so a batch is one gather a view wherever its
groups come from.

Letters: B groups of a batch, G groups and A actions of all row groups in the pool, F features of a
view, N window length, n the longest window of a batch or more.
"""

from __future__ import annotations

import numpy as np

from intent.samples.fusion import fusion_order
from intent.samples.units import Unit
from intent.samples.windows import LAST_AGE, age_column, fill_ages, gather, window_times
from intent.schema import Schema, View, narrowest

MOST_TIMES = 256  # a first row group says little of the others if it is small
Columns = dict[str, tuple[np.dtype, tuple[int, ...]]]  # name -> type and shape of a row


class Pool:
    """Row groups by their number, and the arrays of their groups and actions.

    Args:
        schema: the sources and tasks of a group.
        units: how many row groups there are, in memory or not.
        fusion: whether batches carry the merged order that early fusion needs.
        times: whether batches carry when each action was, as "VIEW_times".
    """

    def __init__(
        self, schema: Schema, units: int, fusion: bool = False, times: bool = False
    ) -> None:
        self.schema, self.fusion, self.times = schema, fusion and bool(schema.views), times
        self._base = np.full(units, -1)
        self._groups = _Arrays(_group_columns(schema))
        self._actions = {
            v.name: _Arrays(_action_columns(v, fusion or times or age_column(v) is not None))
            for v in schema.views
        }

    def add(
        self, number: int, unit: Unit, order: np.ndarray, weights: np.ndarray, room: int = 0
    ) -> None:
        """Take in a row group.

        Args:
            unit: its tracks.
            order: which of its groups there are, in their order within the row group.
            weights: [groups of the unit] of the loss.
            room: groups of the row groups that the pool will hold: so many find room without
                moving the others.
        """
        times = min(room / max(unit.groups, 1), MOST_TIMES)
        groups = {
            "at": unit.at[order],
            "labels": unit.labels[order],
            "weights": weights[order],
            "users": unit.users[order],
        }
        for source in _extra(self.schema):
            groups[source] = getattr(unit, source)[order]
        for view in self.schema.views:
            name, age, actions = view.name, age_column(view), self._actions[view.name]
            base = actions.add(
                number, {"ids": unit.ids[name], "times": unit.times.get(name)}, times
            )
            start, count = unit.spans(name, order)
            groups[f"{name}_start"], groups[f"{name}_count"] = start + base, count
            if age is not None:
                actions["ids"][base : base + len(unit.ids[name]), age] = LAST_AGE
                late = start + count - unit.recent[name][order]
                groups[f"{name}_late"] = np.minimum(count, late)
        self._base[number] = self._groups.add(number, groups, times)

    def remove(self, number: int) -> None:
        """Let go of a row group."""
        self._base[number] = -1
        for arrays in (self._groups, *self._actions.values()):
            arrays.remove(number)

    def clear(self) -> None:
        """Let go of everything: the pool is of no more use."""
        for arrays in (self._groups, *self._actions.values()):
            arrays.clear()

    def index(self, unit: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Where groups are in the pool; -1 where `position` is -1. Any shape.

        Raises:
            KeyError: the row group of one of them is not in the pool.
        """
        base = self._base[unit]
        if ((base < 0) & (position >= 0)).any():
            raise KeyError(f"row groups {np.unique(unit[(base < 0) & (position >= 0)])}")
        return np.where(position < 0, -1, base + position)

    def longest(self, index: np.ndarray) -> np.ndarray:
        """Actions in the longest window of each group, [B]."""
        counts = [self._groups[f"{v.name}_count"][index] for v in self.schema.views]
        return np.maximum.reduce(counts) if counts else np.zeros(len(index), np.int32)

    def facts(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """ "at", "labels", "weights" and "users" of the groups `index` [B]."""
        names = ("at", "labels", "weights", "users")
        return {name: self._groups[name].take(index, axis=0) for name in names}

    def inputs(self, index: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """The model's inputs for the groups `index` [B], in their narrow unsigned types.

        Args:
            length: of the windows, N or less; none of these groups may have a longer one.
        """
        out, spans, groups = {}, {}, self._groups
        for view in self.schema.views:
            name, age, actions = view.name, age_column(view), self._actions[view.name]
            start, count = groups[f"{name}_start"][index], groups[f"{name}_count"][index]
            spans[name] = start, count
            out[name] = gather(actions["ids"], start, count, length)
            if age is not None:
                at, late = groups["at"][index], groups[f"{name}_late"][index]
                fill_ages(out[name], age, actions["times"], at, start, count, late)
            if self.times:
                out[f"{name}_times"] = window_times(actions["times"], start, count, length)
        for source in _extra(self.schema):
            out[source] = groups[source].take(index, axis=0)
        if self.fusion:
            times = [window_times(self._actions[n]["times"], *spans[n], length) for n in spans]
            out["fusion"] = fusion_order(times, [count for _, count in spans.values()], length)
        return out


def _extra(schema: Schema) -> list[str]:
    return [source for source in ("history", "profile") if getattr(schema, source)]


def _group_columns(schema: Schema) -> Columns:
    found = {
        "at": (np.dtype("i8"), ()),
        "labels": (np.dtype("u1"), (len(schema.tasks),)),
        "weights": (np.dtype("f4"), ()),
        "users": (np.dtype("O"), ()),
    }
    for source in _extra(schema):
        features = getattr(schema, source)
        found[source] = narrowest(features), (len(features),)
    for view in schema.views:
        found[f"{view.name}_start"] = np.dtype("i8"), ()
        found |= dict.fromkeys((f"{view.name}_count", f"{view.name}_late"), (np.dtype("i4"), ()))
    return found


def _action_columns(view: View, times: bool) -> Columns:
    found = {"ids": (view.dtype, (view.width,))}
    return found | ({"times": (np.dtype("i8"), ())} if times else {})


class _Arrays:
    """Columns of equally many rows, into which pieces are put wherever they fit, and taken out."""

    def __init__(self, columns: Columns) -> None:
        self._columns = {n: np.empty((0, *tail), dtype) for n, (dtype, tail) in columns.items()}
        self._pieces: list[tuple[int, int, int]] = []  # first row, rows, number; in this order
        self._capacity = 0

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def add(self, number: int, piece: dict[str, np.ndarray | None], times: float) -> int:
        """Copy in what there are columns for; returns the first row.

        Args:
            times: how many such pieces are to be expected.
        """
        rows = len(next(iter(piece.values())))
        first = self._hole(rows)
        if first + rows > self._capacity:
            self._grow(max(first + rows, int(1.25 * max(1.2 * self._capacity, rows * times))))
        for name, column in self._columns.items():
            if name in piece:
                column[first : first + rows] = piece[name]
        self._pieces = sorted([*self._pieces, (first, rows, number)])
        return first

    def remove(self, number: int) -> None:
        """Free the rows of a piece."""
        self._pieces = [piece for piece in self._pieces if piece[2] != number]

    def clear(self) -> None:
        """Free all memory."""
        self._columns.clear()

    def _hole(self, rows: int) -> int:
        """The first row of the first hole that is large enough, perhaps the one behind the end."""
        first = 0
        for begin, size, _ in self._pieces:
            if begin - first >= rows:
                break
            first = begin + size
        return first

    def _grow(self, capacity: int) -> None:
        """Make room; memory that no piece was put into yet is not touched and costs nothing."""
        used = max((begin + rows for begin, rows, _ in self._pieces), default=0)
        for name, column in self._columns.items():
            self._columns[name] = np.empty((capacity, *column.shape[1:]), column.dtype)
            self._columns[name][:used] = column[:used]
        self._capacity = capacity
