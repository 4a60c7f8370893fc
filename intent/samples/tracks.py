"""Tracks: each action of a user's day stored once, with the day's cuts beside it (DESIGN 3.3).

`build_tracks` turns the sorted records of complete users into track rows, one for each user and
day that has a cut. It is vectorized over all users of a chunk: no loop over events or cuts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from intent.features import discretize, tables
from intent.features.encode import unpack
from intent.features.history import TIME_BITS, TIME_MASK, counts, key
from intent.features.span import Span
from intent.samples import cuts as cutting
from intent.schema import DAY_MS, HISTORY_ACTIONS, Schema, narrowest

FIRST_GAP = np.inf  # before the first action there was no other: the longest gap


@dataclass(frozen=True)
class TrackRow:
    """One user's one day.

    Attributes:
        user_id: the user.
        day: first millisecond of the day.
        ids: view -> [actions, features]: what the windows of the day's cuts need, oldest first.
        times: view -> [actions] epoch ms.
        cut_time: [cuts] epoch ms, ascending.
        cut_end: [cuts, views] number of actions of the track at or before the cut.
        labels: [cuts, tasks] of 0 and 1.
        history: [cuts, 18] ids of the history counts as of the cut.
        profile: [6] ids.
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


@dataclass
class BuildCounts:
    """What became of the records: in = used + quarantined + dropped, for each table."""

    used: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    censored_cuts: int = 0

    def drop(self, reason: str, table: str, rows: int) -> None:
        """Count `rows` rows of `table` as dropped for `reason`."""
        if rows:
            self.dropped[f"{table}/{reason}"] += rows


@dataclass(frozen=True)
class Life:
    """All records of the users of a chunk, by source, sorted by user and time.

    Attributes:
        users: names by user code.
        keys: view -> [actions] of user << TIME_BITS | time.
        ids: view -> [actions, features], the swipe view's time gap filled in.
        day_ends, daily: the daily counts before the logs start, see `history.counts`.
        profile: [users, 6] ids, 0 where the user has no profile.
    """

    users: pa.Array
    keys: dict[str, np.ndarray]
    ids: dict[str, np.ndarray]
    day_ends: np.ndarray
    daily: np.ndarray
    profile: np.ndarray


def read_life(records: pa.Table, schema: Schema, span: Span, tally: BuildCounts) -> Life:
    """Take apart usable records sorted by `encode.ORDER`; exact duplicates are dropped."""
    user = records["user_id"].combine_chunks().dictionary_encode()
    code = user.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    kind = records["kind"].to_numpy()
    time = records["timestamp"].to_numpy()
    repeated = _repeats(code, kind, time, records["row_hash"].to_numpy())
    keys, ids = {}, {}
    for view in schema.views:
        table = tables.TABLES[tables.VIEW_TABLES[view.name]]
        chosen = _choose(kind, table, repeated, tally)
        keys[view.name] = key(code[chosen], time[chosen])
        ids[view.name] = _unpack(records, chosen, view.dtype, view.width)
        if view.name == "swipe":
            gap = np.full(len(chosen), FIRST_GAP)
            same_user = np.flatnonzero(np.diff(code[chosen]) == 0)
            gap[same_user + 1] = np.diff(time[chosen])[same_user]
            ids["swipe"][:, view.column("time_gap")] = discretize.time_gap(gap)
    before = _choose(kind, tables.HISTORY, repeated, tally)
    overlap = time[before] >= span.start
    _retract(tally, "history", "overlaps_logs", int(overlap.sum()))
    before = before[~overlap]
    chosen = _choose(kind, tables.PROFILE_TABLE, repeated, tally)
    first = np.r_[True, np.diff(code[chosen]) != 0][: len(chosen)]
    _retract(tally, "profile", "second_profile", int((~first).sum()))
    profile = np.zeros((len(user.dictionary), len(schema.profile)), narrowest(schema.profile))
    if schema.profile:
        profile[code[chosen[first]]] = _unpack(records, chosen[first], "u1", profile.shape[1])
    return Life(
        users=user.dictionary,
        keys=keys,
        ids=ids,
        day_ends=key(code[before], time[before]),
        daily=_unpack(records, before, "<i4", len(HISTORY_ACTIONS)),
        profile=profile,
    )


def history_ids(life: Life, at: np.ndarray, schema: Schema) -> np.ndarray:
    """Ids of the 18 history counts as of the keys `at`, [moments, 18]."""
    kinds = life.ids["browse"][:, schema.view("browse").column("type")]
    codes = [tables.BROWSE_TYPES.index(action) + 1 for action in HISTORY_ACTIONS]
    events = [life.keys["browse"][kinds == c] for c in codes]
    found = counts(at, events, life.day_ends, life.daily)
    return discretize.count(found, schema.history).astype(narrowest(schema.history))


def build_tracks(
    records: pa.Table, schema: Schema, span: Span, cuts_per_day: int, seed: int, tally: BuildCounts
) -> Iterator[TrackRow]:
    """Track rows of the users in `records`, ordered by user, then day.

    Args:
        records: usable records of complete users, sorted by `encode.ORDER`.
        schema: which views, tasks and window length.
        span: the observed time; cuts whose longest horizon leaves it are dropped and counted.
        cuts_per_day: cuts drawn per user and day at most.
        seed: of the draw.
        tally: is added to.
    """
    life = read_life(records, schema, span, tally)
    moments = np.unique(np.concatenate(list(life.keys.values())))
    names = life.users.to_numpy(zero_copy_only=False).astype(object)
    user_hash = pd.util.hash_array(names, categorize=False)
    cuts = cutting.draw(moments, user_hash, cuts_per_day, seed)
    seen = cutting.observed(cuts, span.end, schema.tasks)
    tally.censored_cuts += int((~seen).sum())
    cuts = cuts[seen]
    if not len(cuts):
        return
    browse = schema.view("browse")
    bought = life.ids["browse"][:, browse.column("type")] == tables.PURCHASE
    labels = cutting.labels(cuts, life.keys["browse"][bought], schema.tasks)
    history = history_ids(life, cuts, schema)
    ends = np.stack(
        [np.searchsorted(life.keys[v.name], cuts, "right") for v in schema.views], axis=1
    )
    user = cuts >> TIME_BITS
    lowest = np.stack(  # where each user's track begins
        [np.searchsorted(life.keys[v.name], user << TIME_BITS) for v in schema.views], axis=1
    )
    day = (cuts & TIME_MASK) // DAY_MS
    first = np.flatnonzero(np.r_[True, (np.diff(user) != 0) | (np.diff(day) != 0)])
    start = np.maximum(ends[first] - schema.length, lowest[first])
    for row, (low, high) in enumerate(zip(first, np.r_[first[1:], len(cuts)], strict=True)):
        parts = {
            v.name: slice(start[row, i], max(start[row, i], ends[high - 1, i]))
            for i, v in enumerate(schema.views)
        }
        yield TrackRow(
            user_id=names[user[low]],
            day=int(day[low]) * DAY_MS,
            ids={name: life.ids[name][part] for name, part in parts.items()},
            times={name: life.keys[name][part] & TIME_MASK for name, part in parts.items()},
            cut_time=cuts[low:high] & TIME_MASK,
            cut_end=(ends[low:high] - start[row]).astype(np.uint32),
            labels=labels[low:high],
            history=history[low:high],
            profile=life.profile[user[low]],
        )


def _repeats(*columns: np.ndarray) -> np.ndarray:
    """Whether each row equals the one before it in all columns."""
    same = np.zeros(len(columns[0]), bool)
    if len(same):
        same[1:] = np.all([c[1:] == c[:-1] for c in columns], axis=0)
    return same


def _choose(
    kind: np.ndarray, table: tables.RawTable, repeated: np.ndarray, tally: BuildCounts
) -> np.ndarray:
    """Indices of the table's rows that are no repetition; counts the used and the dropped."""
    mine = kind == table.kind
    chosen = np.flatnonzero(mine & ~repeated)
    tally.used[table.name] += len(chosen)
    tally.drop("duplicate", table.name, int(mine.sum()) - len(chosen))
    return chosen


def _retract(tally: BuildCounts, table: str, reason: str, rows: int) -> None:
    """Count rows that were taken for used as dropped."""
    tally.used[table] -= rows
    tally.drop(reason, table, rows)


def _unpack(records: pa.Table, rows: np.ndarray, dtype: str | np.dtype, width: int) -> np.ndarray:
    column = pc.take(records["ids"], pa.array(rows)).combine_chunks()
    return unpack(column, np.dtype(dtype), width).copy()
