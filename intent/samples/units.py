"""A row group in memory: the tracks of some user-days, from which windows are sliced.

A unit holds each action once, however many groups look at it. B groups, A actions of all tracks of
the unit, C cuts of the unit, R rows of it, V views, N window length, F features.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from intent.features.history import key
from intent.samples.columnar import Rows
from intent.samples.fusion import fusion_order
from intent.samples.layout import needed_columns as needed_columns
from intent.samples.rows import decode_rows
from intent.samples.windows import (
    LAST_AGE,
    RECENT_MS,
    age_column,
    fill_ages,
    gather,
    window_times,
)
from intent.schema import Schema


@dataclass(frozen=True)
class Unit:
    """One row group of tracks.

    Attributes:
        schema: which sources were read.
        ids: view -> [A, F], the age being 0; times: view -> [A], of all views or of some.
        low, end: view -> [C] where a cut's track or session begins, and where its window ends.
        recent: view with an age -> [C] from where on actions are young enough to tell it.
        at: [C] epoch ms of the cuts.
        labels: [C, tasks].
        history: [C, 18] ids; profile: [C, 6] ids, or None where the schema lacks them.
        users: [C] user of each cut; rows: [C] the row of each cut, ascending.
        since: [C] epoch ms of the start of each cut's session; 0 where windows know no sessions.
    """

    schema: Schema
    ids: dict[str, np.ndarray]
    times: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    end: dict[str, np.ndarray]
    recent: dict[str, np.ndarray]
    at: np.ndarray
    labels: np.ndarray
    history: np.ndarray | None
    profile: np.ndarray | None
    users: np.ndarray
    rows: np.ndarray
    since: np.ndarray

    @property
    def groups(self) -> int:
        """Sample groups of the unit, C."""
        return len(self.at)

    def spans(self, view: str, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First action and number of actions of the windows of some groups, [B] each."""
        end = self.end[view][index]
        start = np.maximum(self.low[view][index], end - self.schema.length)
        return start, end - start

    def inputs(self, index: np.ndarray, fusion: bool = False) -> dict[str, np.ndarray]:
        """The model's inputs for the groups `index` [B], in their narrow unsigned types.

        With `fusion`, also the order in which early fusion merges the views.
        """
        length, at = self.schema.length, self.at[index]
        spans, out = {}, {}
        for view in self.schema.views:
            name, age = view.name, age_column(view)
            spans[name] = start, count = self.spans(name, index)
            out[name] = gather(self.ids[name], start, count, length)
            if age is not None:
                real = np.arange(length) < count[:, None]
                out[name][:, :, age] = LAST_AGE * real
                late = np.minimum(count, start + count - self.recent[name][index])
                fill_ages(out[name], age, self.times[name], at, start, count, late)
        if self.history is not None:
            out["history"] = self.history[index]
        if self.profile is not None:
            out["profile"] = self.profile[index]
        if fusion and self.schema.views:
            times = [window_times(self.times[n], *spans[n], length) for n in spans]
            out["fusion"] = fusion_order(times, [count for _, count in spans.values()], length)
        return out


def read_unit(
    table: pa.Table, stored: Schema, schema: Schema, times: Collection[str] | None = None
) -> Unit:
    """Decode one row group.

    Args:
        table: its columns, see `layout.needed_columns`.
        stored: the schema of the dataset.
        schema: what is wanted of it: some of its sources and tasks.
        times: the views whose times are wanted besides those that have an age; all by default.
    """
    if times is not None:
        times = {*times, *(v.name for v in schema.views if age_column(v) is not None)}
    return unit_of(decode_rows(table, stored, schema, times), schema)


def unit_of(rows: Rows, schema: Schema) -> Unit:
    """The groups of some rows."""
    own = np.repeat(np.arange(len(rows.users)), rows.cuts)
    first = {n: (np.cumsum(a) - a)[own] for n, a in rows.actions.items()}
    young = rows.cut_time - RECENT_MS + 1
    with_age = [v.name for v in schema.views if age_column(v) is not None]
    return Unit(
        schema=schema,
        ids=rows.ids,
        times=rows.times,
        low={n: np.maximum(low, _since(rows, n, own, rows.since)) for n, low in first.items()},
        end={v.name: first[v.name] + rows.cut_end[:, i] for i, v in enumerate(schema.views)},
        recent={n: _since(rows, n, own, young) for n in with_age},
        at=rows.cut_time,
        labels=rows.labels,
        history=rows.history if schema.history else None,
        profile=rows.profile[own] if schema.profile else None,
        users=rows.users[own],
        rows=own,
        since=rows.since,
    )


def _since(rows: Rows, view: str, own: np.ndarray, since: np.ndarray) -> np.ndarray | int:
    """Where in a view those actions of each cut's row begin that are not before `since` [C].

    0 if no cut has such a time.
    """
    if not since.any():
        return 0
    row = np.repeat(np.arange(len(rows.users)), rows.actions[view])
    return np.searchsorted(key(row, rows.times[view]), key(own, since))
