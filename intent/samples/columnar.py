"""Track rows as a few long arrays: what is written, what is read, and what a chunk of users yields.

Letters: R rows, A actions of a view, C cuts of all rows, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from intent.schema import Schema


@dataclass(frozen=True)
class TrackRow:
    """One user's one day.

    Attributes:
        user_id: the user.
        day: first millisecond of the day.
        ids: view -> [actions, features]: what the windows of the day's cuts see, oldest first.
        times: view -> [actions] epoch ms.
        cut_time: [cuts] epoch ms, ascending.
        cut_end: [cuts, views] number of actions of the track at or before the cut.
        labels: [cuts, tasks] of 0 and 1.
        history: [cuts, 18] ids of the history counts as of the cut.
        profile: [6] ids.
        since: [cuts] epoch ms, the start of the session: windows show nothing earlier. 0, or None
            for all cuts, is no such limit.
    """

    user_id: str
    day: int
    ids: dict[str, np.ndarray]
    times: dict[str, np.ndarray]
    cut_time: np.ndarray
    cut_end: np.ndarray
    labels: np.ndarray
    history: np.ndarray
    profile: np.ndarray
    since: np.ndarray | None = None


@dataclass(frozen=True)
class Rows:
    """R track rows, columnar: their arrays one behind the other.

    Attributes:
        users: [R].
        ids: view -> [A, F]; times: view -> [A] epoch ms; actions: view -> [R] how many.
        cut_time: [C] epoch ms; cuts: [R] how many.
        cut_end: [C, views] actions of the row's track at or before the cut.
        labels: [C, tasks]; history: [C, 18]; profile: [R, 6].
        since: [C] epoch ms of the start of the session, before which no window reaches; 0 for no
            such limit.
    """

    users: np.ndarray
    ids: dict[str, np.ndarray]
    times: dict[str, np.ndarray]
    actions: dict[str, np.ndarray]
    cut_time: np.ndarray
    cuts: np.ndarray
    cut_end: np.ndarray
    labels: np.ndarray
    history: np.ndarray
    profile: np.ndarray
    since: np.ndarray

    @staticmethod
    def of(rows: Sequence[TrackRow], schema: Schema) -> Rows:
        """Some rows, at least one."""
        names = [v.name for v in schema.views]
        return Rows(
            users=np.array([r.user_id for r in rows], object),
            ids={n: np.concatenate([r.ids[n] for r in rows]) for n in names},
            times={n: np.concatenate([r.times[n] for r in rows]) for n in names},
            actions={n: np.array([len(r.times[n]) for r in rows], np.int64) for n in names},
            cut_time=np.concatenate([r.cut_time for r in rows]),
            cuts=np.array([len(r.cut_time) for r in rows], np.int64),
            cut_end=np.concatenate([r.cut_end for r in rows]),
            labels=np.concatenate([r.labels for r in rows]),
            history=np.concatenate([r.history for r in rows]),
            profile=np.stack([r.profile for r in rows]),
            since=np.concatenate(
                [np.zeros(len(r.cut_time), np.int64) if r.since is None else r.since for r in rows]
            ),
        )

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """Rows of several, one behind the other; at least one."""
        if len(parts) == 1:
            return parts[0]
        found = {}
        for f in fields(Rows):
            each = [getattr(p, f.name) for p in parts]
            if isinstance(each[0], dict):
                found[f.name] = {n: np.concatenate([e[n] for e in each]) for n in each[0]}
            else:
                found[f.name] = np.concatenate(each)
        return Rows(**found)

    def take(self, index: np.ndarray) -> Rows:
        """Copies of some rows, in the order of `index`."""
        actions = {n: _places(count, index) for n, count in self.actions.items()}
        cuts = _places(self.cuts, index)
        return Rows(
            users=self.users[index],
            ids={n: _copy(self.ids[n], at) for n, at in actions.items()},
            times={n: _copy(self.times[n], at) for n, at in actions.items()},
            actions={n: count[index] for n, count in self.actions.items()},
            cut_time=_copy(self.cut_time, cuts),
            cuts=self.cuts[index],
            cut_end=_copy(self.cut_end, cuts),
            labels=_copy(self.labels, cuts),
            history=_copy(self.history, cuts),
            profile=self.profile[index],
            since=_copy(self.since, cuts),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays of actions and cuts."""
        dicts = (*self.ids.values(), *self.times.values())
        return sum(a.nbytes for a in (*dicts, self.cut_time, self.cut_end, self.history))


def _places(lengths: np.ndarray, index: np.ndarray) -> np.ndarray | list[slice]:
    """Where the values of the rows `index` are, of rows of `lengths` one behind the other.

    Positions of single values where rows are short, slices where they are long: which is faster.
    """
    chosen, begin = lengths[index], (np.cumsum(lengths) - lengths)[index]
    if chosen.sum() > 50 * len(index):
        ends = (begin + chosen).tolist()
        return [slice(a, b) for a, b in zip(begin.tolist(), ends, strict=True)]
    shift = begin - (np.cumsum(chosen) - chosen)
    return np.repeat(shift, chosen) + np.arange(chosen.sum())


def _copy(values: np.ndarray, places: np.ndarray | list[slice]) -> np.ndarray:
    if isinstance(places, list):
        return np.concatenate([values[part] for part in places])
    return values.take(places, axis=0)
