"""A row group in memory: the tracks of some user-days, from which windows are sliced.

A unit holds each action once, however many groups look at it. B groups, A actions of all tracks of
the unit, C cuts of the unit, V views, N window length, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from intent.features.history import key
from intent.samples.columnar import Rows
from intent.samples.fusion import fusion_order
from intent.samples.layout import needed_columns as needed_columns
from intent.samples.rows import decode_rows
from intent.samples.windows import view_window, window_times
from intent.schema import Schema


@dataclass(frozen=True)
class Unit:
    """One row group of tracks.

    Attributes:
        schema: which sources were read.
        ids: view -> [A, F]; times: view -> [A].
        low, end: view -> [C] where a cut's track or session begins, and where its window ends.
        at: [C] epoch ms of the cuts.
        labels: [C, tasks].
        history: [C, 18] ids; profile: [C, 6] ids, or None where the schema lacks them.
        users: [C] user of each cut.
        since: [C] epoch ms of the start of each cut's session; 0 where windows know no sessions.
    """

    schema: Schema
    ids: dict[str, np.ndarray]
    times: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    end: dict[str, np.ndarray]
    at: np.ndarray
    labels: np.ndarray
    history: np.ndarray | None
    profile: np.ndarray | None
    users: np.ndarray
    since: np.ndarray

    @property
    def groups(self) -> int:
        """Sample groups of the unit, C."""
        return len(self.at)

    def inputs(self, index: np.ndarray, fusion: bool = False) -> dict[str, np.ndarray]:
        """The model's inputs for the groups `index` [B], in their narrow unsigned types.

        With `fusion`, also the order in which early fusion merges the views.
        """
        length, at = self.schema.length, self.at[index]
        out = {}
        for view in self.schema.views:
            name = view.name
            low, end = self.low[name][index], self.end[name][index]
            out[name] = view_window(view, self.ids[name], self.times[name], at, low, end, length)
        if self.history is not None:
            out["history"] = self.history[index]
        if self.profile is not None:
            out["profile"] = self.profile[index]
        if fusion and self.schema.views:
            out["fusion"] = self._fusion(index)
        return out

    def _fusion(self, index: np.ndarray) -> np.ndarray:
        names = [v.name for v in self.schema.views]
        spans = {n: (self.low[n][index], self.end[n][index]) for n in names}
        length = self.schema.length
        times = [window_times(self.times[n], *spans[n], length) for n in names]
        counts = [np.minimum(end - low, length) for low, end in spans.values()]
        return fusion_order(times, counts, length)


def read_unit(table: pa.Table, stored: Schema, schema: Schema) -> Unit:
    """Decode one row group.

    Args:
        table: its columns, see `layout.needed_columns`.
        stored: the schema of the dataset.
        schema: what is wanted of it: some of its sources and tasks.
    """
    return unit_of(decode_rows(table, stored, schema), schema)


def unit_of(rows: Rows, schema: Schema) -> Unit:
    """The groups of some rows."""
    own = np.repeat(np.arange(len(rows.users)), rows.cuts)
    first = {n: (np.cumsum(a) - a)[own] for n, a in rows.actions.items()}
    return Unit(
        schema=schema,
        ids=rows.ids,
        times=rows.times,
        low={n: np.maximum(low, _session(rows, n, own)) for n, low in first.items()},
        end={v.name: first[v.name] + rows.cut_end[:, i] for i, v in enumerate(schema.views)},
        at=rows.cut_time,
        labels=rows.labels,
        history=rows.history if schema.history else None,
        profile=rows.profile[own] if schema.profile else None,
        users=rows.users[own],
        since=rows.since,
    )


def _session(rows: Rows, view: str, own: np.ndarray) -> np.ndarray | int:
    """Where in the view's actions the session of each cut begins, [C]; 0 without sessions."""
    if not rows.since.any():
        return 0
    row = np.repeat(np.arange(len(rows.users)), rows.actions[view])
    return np.searchsorted(key(row, rows.times[view]), key(own, rows.since))
