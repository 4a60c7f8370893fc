"""Tracks: each action of a user's day stored once, with the day's cuts beside it (DESIGN 3.3).

`build_tracks` turns the records of complete users into track rows, one for each user and
day that has a cut. It is vectorized over all users of a chunk: no loop over events or cuts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from intent.config import SamplesConfig
from intent.features import tables
from intent.features.history import TIME_BITS, TIME_MASK
from intent.features.span import Span
from intent.samples import cuts as cutting
from intent.samples.cleaning import keep_negatives
from intent.samples.life import BuildCounts, Life, history_ids, read_life
from intent.samples.records import Records
from intent.samples.trim import trim
from intent.schema import DAY_MS, Schema


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


def build_tracks(
    records: Records,
    schema: Schema,
    span: Span,
    settings: SamplesConfig,
    tally: BuildCounts,
    days: Span | None = None,
) -> Iterator[TrackRow]:
    """Track rows of the users in `records`, ordered by user, then day.

    Args:
        records: usable records of complete users.
        schema: which views, tasks and window length.
        span: the observed time; cuts whose longest horizon leaves it are dropped and counted.
        settings: of the cleaning and the cuts.
        tally: is added to.
        days: cuts are drawn in these days only; None for the whole span.
    """
    life = read_life(records, schema, span, tally, settings)
    every = life.moments()
    moments = every[np.r_[True, np.diff(every) != 0][: len(every)]]
    if days is not None:
        time = moments & TIME_MASK
        moments = moments[(time >= days.start) & (time < days.end)]
    cuts = cutting.draw(moments, life.user_hash, settings.cuts_per_day, settings.seed)
    seen = cutting.observed(cuts, span.end, schema.tasks)
    tally.count("censored_cuts", (~seen).sum())
    cuts = cuts[seen]
    ends = np.stack(
        [np.searchsorted(life.keys[v.name], cuts, "right") for v in schema.views], axis=1
    )
    begins = _begins(life, cuts, every, schema)
    enough = np.minimum(ends - begins, schema.length).sum(axis=1) >= settings.min_actions
    tally.count("short_cuts", (~enough).sum())
    browse = schema.view("browse")
    bought = life.ids["browse"][:, browse.column("type")] == tables.PURCHASE
    labels = cutting.labels(cuts, life.keys["browse"][bought], schema.tasks)
    lot = keep_negatives(cuts, life.user_hash, labels, settings.negative_rate, settings.seed)
    tally.count("undersampled_cuts", (enough & ~lot).sum())
    kept = enough & lot
    cuts, ends, begins, labels = cuts[kept], ends[kept], begins[kept], labels[kept]
    if not len(cuts):
        return
    history = history_ids(life, cuts, schema)
    names = life.users.to_numpy(zero_copy_only=False).astype(object)
    user = cuts >> TIME_BITS
    day = (cuts & TIME_MASK) // DAY_MS
    first = np.flatnonzero(np.r_[True, (np.diff(user) != 0) | (np.diff(day) != 0)])
    start = np.maximum(ends[first] - schema.length, begins[first])
    for row, (low, high) in enumerate(zip(first, np.r_[first[1:], len(cuts)], strict=True)):
        parts = {
            v.name: slice(start[row, i], max(start[row, i], ends[high - 1, i]))
            for i, v in enumerate(schema.views)
        }
        row_of_day = TrackRow(
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
        yield trim(row_of_day, schema.length)


def _begins(life: Life, cuts: np.ndarray, moments: np.ndarray, schema: Schema) -> np.ndarray:
    """Where the actions that a window may hold begin in each view, [cuts, views]."""
    low = cuts >> TIME_BITS << TIME_BITS
    return np.stack([np.searchsorted(life.keys[v.name], low) for v in schema.views], axis=1)
