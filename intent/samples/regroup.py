"""Padded groups back to tracks: the union of the windows of a user's day, each action once.

The windows of the day's cuts overlap. What is new in the window of a cut is what happened after the
cut before it, so the new parts, put one behind the other, are the day's track. A track holds
nothing that no window sees, which is what makes the way back exact.

Letters: C cuts of a user's day, N window length, F features of a view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from intent.errors import IntentError
from intent.samples.cells import decode_cell
from intent.samples.columnar import TrackRow
from intent.samples.groups import columns, times_column
from intent.schema import DAY_MS, Schema


@dataclass(frozen=True)
class Groups:
    """Rows of the layout "groups", B of them.

    Attributes:
        users: [B]; at, since: [B] epoch ms of the cuts and of their sessions; labels: [B, tasks].
        arrays: column (`groups.columns`) -> [B, ...].
    """

    users: np.ndarray
    at: np.ndarray
    since: np.ndarray
    labels: np.ndarray
    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.at)

    def part(self, low: int, high: int) -> Groups:
        """The groups low to high."""
        cut = slice(low, high)
        arrays = {name: values[cut] for name, values in self.arrays.items()}
        return Groups(self.users[cut], self.at[cut], self.since[cut], self.labels[cut], arrays)

    def and_then(self, more: Groups) -> Groups:
        """These groups and `more` behind them."""
        arrays = {name: np.concatenate([a, more.arrays[name]]) for name, a in self.arrays.items()}
        rest = [f.name for f in fields(self) if f.name != "arrays"]
        return Groups(*[np.concatenate([getattr(self, n), getattr(more, n)]) for n in rest], arrays)


def needed_columns(schema: Schema) -> list[str]:
    """Columns of a shard of the layout "groups"."""
    return [
        "user_id",
        "time",
        "since",
        *(f"label_{t.name}" for t in schema.tasks),
        *columns(schema),
    ]


def read_groups(table: pa.Table, schema: Schema) -> Groups:
    """Decode one row group of the layout "groups"; IntentError where a cell has another shape."""
    arrays = {}
    for name, (dtype, shape) in columns(schema).items():
        cells = [decode_cell(c.as_buffer()) for c in table[name].combine_chunks()]
        odd = [c for c in cells if c.shape != shape or c.dtype != dtype]
        if odd:
            raise IntentError(
                f"a cell of column {name!r} is {odd[0].dtype} {odd[0].shape}, expected {dtype} "
                f"{shape}; the shard is damaged"
            )
        arrays[name] = np.stack(cells) if cells else np.zeros((0, *shape), dtype)
    for view in schema.views:
        real = arrays[view.name][:, :, view.marker_column] > 0
        times = arrays[times_column(view)]
        hole = (real[:, 1:] > real[:, :-1]).any()
        if hole or arrays[view.name][~real].any() or times[~real].any():
            raise IntentError(
                f"a window of view {view.name} has an action behind its padding, or padding that "
                "is not 0; the shard is damaged or was not written by intent"
            )
    labels = [table[f"label_{t.name}"].to_numpy() for t in schema.tasks]
    return Groups(
        users=table["user_id"].to_numpy(),
        at=table["time"].to_numpy(),
        since=table["since"].to_numpy(),
        labels=np.stack(labels, axis=1),
        arrays=arrays,
    )


def track_rows(parts: Iterable[Groups], schema: Schema) -> Iterator[TrackRow]:
    """Track rows of the groups of a shard, which stand user by user and, within, in time.

    Holds one row group and one user's day.
    """
    held: Groups | None = None
    for part in parts:
        held = part if held is None else held.and_then(part)
        starts = np.flatnonzero(held.users[1:] != held.users[:-1]) + 1
        for low, high in zip([0, *starts[:-1]], starts, strict=False):
            yield regroup(held.part(low, high), schema)
        held = held.part(starts[-1], len(held)) if len(starts) else held
    if held is not None and len(held):
        yield regroup(held, schema)


def regroup(day: Groups, schema: Schema) -> TrackRow:
    """The track row of all groups of one user's one day, in the order of their cuts."""
    if not (np.diff(day.at) > 0).all() or day.at[0] // DAY_MS != day.at[-1] // DAY_MS:
        raise IntentError(
            f"the groups of user {day.users[0]!r} are not those of one day in the order of time; "
            "the shard is damaged or was not written by intent"
        )
    ids, times, ends = {}, {}, []
    before = np.r_[np.iinfo(np.int64).min, day.at[:-1]]
    for view in schema.views:
        window, at = day.arrays[view.name], day.arrays[times_column(view)]
        new = (window[:, :, view.marker_column] > 0) & (at > before[:, None])
        ids[view.name], times[view.name] = window[new], at[new]
        if any(f.name == "age" for f in view.features):  # depends on the cut, so no track has it
            ids[view.name][:, view.column("age")] = 0
        ends.append(np.cumsum(new.sum(axis=1)))
    return TrackRow(
        user_id=day.users[0],
        day=int(day.at[0]) // DAY_MS * DAY_MS,
        ids=ids,
        times=times,
        cut_time=day.at,
        cut_end=np.stack(ends, axis=1).astype(np.uint32),
        labels=day.labels,
        history=day.arrays.get("history", np.zeros((len(day), 0), np.uint8)),
        profile=day.arrays["profile"][0] if schema.profile else np.zeros(0, np.uint8),
        since=day.since,
    )
