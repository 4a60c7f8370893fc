"""What the groups of a dataset are like, in numbers: the facts of the data card.

One pass over all shards; a row group is held at a time, and 16 bytes a user.

Letters: A actions, C cuts, N window length.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from intent import storage
from intent.features.vocabulary import UNKNOWN, Dictionaries
from intent.progress import progress
from intent.samples import manifest as manifests
from intent.samples.manifest import Manifest
from intent.samples.scan import Part, open_parquet, read_parts
from intent.schema import DAY_MS, HISTORY_ACTIONS, HISTORY_WINDOWS, HOUR_MS, Schema, View

# Gaps are counted in ten steps a decade from 1 ms to 100 days, and those of 0 ms.
GAP_EDGES_MS = np.r_[0, 10 ** (np.arange(0, 100) / 10)]
MOST_PENDING = 2_000_000  # user-days, before their groups are summed up by user


class Groups:
    """How many groups each user has; of users only a hash is kept."""

    def __init__(self) -> None:
        self.parts = [pd.Series(np.zeros(0, np.int64), np.zeros(0, np.uint64))]
        self.pending = 0

    def add(self, users: np.ndarray, groups: np.ndarray) -> None:
        """Add `groups` [R] of each of `users` [R]."""
        self.parts.append(pd.Series(groups, pd.util.hash_array(users, categorize=False)))
        self.pending += len(users)
        if self.pending > MOST_PENDING:
            self.parts, self.pending = [self.total()], 0

    def total(self) -> pd.Series:
        """Groups by user."""
        return pd.concat(self.parts).groupby(level=0).sum()


class Totals:
    """Counts that grow with every part; all arrays, so that parts can be added in any order."""

    def __init__(self, schema: Schema) -> None:
        views, tasks = schema.views, len(schema.tasks)
        self.schema = schema
        self.hours = np.zeros((24, 1 + tasks), np.int64)  # groups, then positives by task
        self.days: dict[str, np.ndarray] = {}
        self.lengths = {v.name: np.zeros(schema.length + 1, np.int64) for v in views}
        self.gaps = {v.name: np.zeros(len(GAP_EDGES_MS), np.int64) for v in views}
        self.actions = {v.name: 0 for v in views}
        self.none = {v.name: np.zeros(v.width, np.int64) for v in views}
        self.unknown = {v.name: np.zeros(v.width, np.int64) for v in views}
        self.history = [np.zeros(f.rows, np.int64) for f in schema.history]
        self.profile = [np.zeros(f.rows, np.int64) for f in schema.profile]
        self.no_action = 0
        self.users = Groups()

    def add(self, part: Part, day: str) -> None:
        """Add the groups of some user-days of one day."""
        unit = part.unit
        columns = np.column_stack([np.ones(unit.groups, np.int64), unit.labels])
        self.days[day] = self.days.get(day, 0) + columns.sum(axis=0)
        np.add.at(self.hours, unit.at % DAY_MS // HOUR_MS, columns)
        nothing = np.ones(unit.groups, bool)
        for view in self.schema.views:
            length = np.minimum(unit.end[view.name] - unit.low[view.name], self.schema.length)
            nothing &= length == 0
            self.lengths[view.name] += np.bincount(length, minlength=self.schema.length + 1)
            self._add_actions(part, view)
        self.no_action += int(nothing.sum())
        for source in ("history", "profile"):
            ids = getattr(unit, source)
            for i, counted in enumerate(getattr(self, source)):
                counted += np.bincount(ids[:, i], minlength=len(counted))
        self.users.add(part.users, part.cuts)

    def _add_actions(self, part: Part, view: View) -> None:
        """Count the actions of the day itself; those before it are of other days' rows, too."""
        unit, name = part.unit, view.name
        times, bounds = unit.times[name], part.bounds(name)
        starts = unit.at[part.first] // DAY_MS * DAY_MS
        mine = times >= np.repeat(starts, np.diff(bounds))
        ids = unit.ids[name][mine]
        self.actions[name] += len(ids)
        self.none[name] += (ids == 0).sum(axis=0)
        names = np.array([f.unknown for f in view.features])
        self.unknown[name] += ((ids == UNKNOWN) & names).sum(axis=0)
        follows = mine.copy()
        follows[bounds[:-1][bounds[:-1] < len(times)]] = False  # what was before is not known
        # Nor is it where a window begins after the end of the last: actions in between are left out
        begin, end = unit.end[name] - self.schema.length, unit.end[name]
        before = np.r_[0, end[:-1]]
        before[part.first] = bounds[:-1]
        apart = begin[(begin >= before) & (begin < len(times))]
        follows[apart] = False
        gap = np.diff(times, prepend=times[:1])[follows]
        step = np.searchsorted(GAP_EDGES_MS, gap, "right") - 1
        self.gaps[name] += np.bincount(step, minlength=len(GAP_EDGES_MS))


def collect(root: str, manifest: Manifest) -> dict:
    """Read the dataset at `root` and return its facts, for `card_page` and for JSON.

    Shares are of 1, sizes in bytes, times in ms. Raises IntentError where it cannot be read.
    """
    root, totals = str(root), Totals(manifest.schema)
    dictionaries = manifests.load_dictionaries(root, manifest)
    with progress("reading", total=max(manifest.groups, 1), unit="groups") as bar:
        for shard in manifest.shards:
            for part in read_parts(root, manifest, shard):
                totals.add(part, shard.day)
                bar.advance(part.unit.groups)
    per_user = totals.users.total().to_numpy()
    return {
        "groups": manifest.groups,
        "rows": manifest.rows,
        "users": len(per_user),
        "tasks": {t.name: t.horizon_ms for t in manifest.schema.tasks},
        "days": [_rates(manifest, day, totals.days[day]) for day in sorted(totals.days)],
        "hours": [_rates(manifest, hour, counts) for hour, counts in enumerate(totals.hours)],
        "groups_per_user": _spread(per_user),
        "no_action": totals.no_action,
        "views": [_view(totals, view) for view in manifest.schema.views],
        "names": _names(totals, dictionaries),
        "history": _history(totals),
        "profile": [
            {"feature": f.name, "none": int(counts[0])}
            for f, counts in zip(manifest.schema.profile, totals.profile, strict=True)
        ],
        "columns": _columns(root, manifest),
    }


def _spread(values: np.ndarray) -> dict:
    """Quantiles and a histogram in at most 24 bins."""
    counts, edges = np.histogram(values, min(24, max(int(np.ptp(values)), 1)))
    least, p5, median, p95, most = np.quantile(values, [0, 0.05, 0.5, 0.95, 1]).tolist()
    return {
        "least": least,
        "p5": p5,
        "median": median,
        "p95": p95,
        "most": most,
        "edges": edges.tolist(),
        "counts": counts.tolist(),
    }


def _rates(manifest: Manifest, name: str | int, counts: np.ndarray) -> dict:
    positives = dict(zip([t.name for t in manifest.schema.tasks], counts[1:].tolist(), strict=True))
    return {"name": name, "groups": int(counts[0]), "positives": positives}


def _view(totals: Totals, view: View) -> dict:
    name, lengths = view.name, totals.lengths[view.name]
    return {
        "name": name,
        "actions": totals.actions[name],
        "lengths": lengths.tolist(),
        "median_length": _quantile(lengths, 0.5),
        "gaps": totals.gaps[name].tolist(),
        "median_gap_ms": float(GAP_EDGES_MS[_quantile(totals.gaps[name], 0.5)]),
        "features": [
            {"feature": f.name, "none": int(totals.none[name][i])}
            for i, f in enumerate(view.features)
            if f.name != "age"  # depends on the cut
        ],
    }


def _names(totals: Totals, dictionaries: Dictionaries) -> list[dict]:
    """How much of what the actions name is in the dictionaries, by vocabulary feature."""
    found = []
    for view in totals.schema.views:
        for i, feature in enumerate(view.features):
            if feature.unknown:
                counts = dictionaries[f"{view.name}.{feature.name}"].counts
                none, unknown = (c[view.name][i] for c in (totals.none, totals.unknown))
                found.append(
                    {
                        "view": view.name,
                        "feature": feature.name,
                        "names": len(counts),
                        "room": feature.dictionary,
                        "actions": totals.actions[view.name],
                        "none": int(none),
                        "named": int(totals.actions[view.name] - none),
                        "unknown": int(unknown),
                        "names_of_half": _names_of(counts, 0.5),
                    }
                )
    return found


def _names_of(counts: tuple[int, ...], share: float) -> int:
    """How many of the most frequent names make up `share` of what was counted."""
    return int(np.searchsorted(np.cumsum(counts), share * sum(counts))) + 1 if sum(counts) else 0


def _history(totals: Totals) -> list[dict]:
    """Mean count, share with any and share at the top level, by action and window."""
    out = []
    names = [(action, window) for action in HISTORY_ACTIONS for window, *_ in HISTORY_WINDOWS]
    known = len(totals.history) == len(names)
    for (action, window), counted in zip(names, totals.history if known else [], strict=False):
        n, levels = max(int(counted.sum()), 1), np.arange(len(counted)) - 1
        out.append(
            {
                "action": action,
                "window": window,
                "mean": float((counted * np.maximum(levels, 0)).sum() / n),
                "some": int(counted[2:].sum()),
                "top": int(counted[-1]),
            }
        )
    return out


def _columns(root: str, manifest: Manifest) -> list[dict]:
    """Bytes of each column in the shards, largest first; what is left is "footers"."""
    size: Counter = Counter()
    for shard in manifest.shards:
        with open_parquet(storage.join(root, shard.path)) as file:
            for i in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(i)
                for j in range(group.num_columns):
                    column = group.column(j)
                    size[column.path_in_schema.split(".")[0]] += column.total_compressed_size
    size["footers"] = sum(s.size for s in manifest.shards) - size.total()
    return [{"column": name, "bytes": n} for name, n in size.most_common()]


def _quantile(counts: np.ndarray, share: float) -> int:
    """The index at which `share` of the counts is reached; 0 where there are none."""
    return int(np.searchsorted(np.cumsum(counts), share * counts.sum())) if counts.sum() else 0
