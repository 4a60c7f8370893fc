"""Tracks: each action of a user's day stored once, with the day's cuts beside it (DESIGN 3.3).

`build_tracks` turns the records of complete users into track rows, one for each user and
day that has a cut. It is vectorized over all users of a chunk: no loop over events or cuts.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from intent.config import SamplesConfig
from intent.features.history import TIME_BITS, TIME_MASK
from intent.features.span import Span
from intent.samples import cuts as cutting
from intent.samples.cleaning import keep_negatives, session_of, session_starts
from intent.samples.columnar import Rows
from intent.samples.exclusion import NOTHING, Exclusion
from intent.samples.life import BuildCounts, Life, history_ids, read_life
from intent.samples.records import Records
from intent.samples.trim import seen_by_windows
from intent.schema import DAY_MS, Schema


def build_tracks(
    records: Records,
    schema: Schema,
    browse: Span,
    settings: SamplesConfig,
    tally: BuildCounts,
    days: Span | None = None,
    exclusion: Exclusion = NOTHING,
) -> tuple[np.ndarray, Rows] | None:
    """Track rows of the users in `records`, ordered by user, then day; None where there are none.

    Args:
        records: usable records of complete users.
        schema: which views, tasks and window length.
        browse: the time that the browse table covers; cuts whose longest horizon leaves it are
            dropped and counted, and daily counts are taken from before it.
        settings: of the cleaning and the cuts.
        tally: is added to.
        days: cuts are drawn in these days only; None for all.
        exclusion: actions that windows do not show; at their moments there is no cut either.

    Returns: the first ms of each row's day [R], and the rows.
    """
    life = read_life(records, schema, browse.start, tally, settings, exclusion)
    every = life.moments()
    moments = every[np.r_[True, np.diff(every) != 0][: len(every)]]
    if days is not None:
        time = moments & TIME_MASK
        moments = moments[(time >= days.start) & (time < days.end)]
    cuts = cutting.draw(moments, life.user_hash, settings.cuts_per_day, settings.seed)
    seen = cutting.observed(cuts, browse.end, schema.tasks)
    tally.count("censored_cuts", (~seen).sum())
    cuts = cuts[seen]
    ends = np.stack(
        [np.searchsorted(life.keys[v.name], cuts, "right") for v in schema.views], axis=1
    )
    begin = cuts >> TIME_BITS << TIME_BITS
    since = None
    if settings.session_gap_minutes is not None:
        starts = session_starts(every, round(settings.session_gap_minutes * 60_000))
        tally.count("sessions", len(starts))
        begin = session_of(cuts, starts)
        since = begin & TIME_MASK
    begins = _begins(life, begin, schema)
    enough = np.minimum(ends - begins, schema.length).sum(axis=1) >= settings.min_actions
    tally.count("short_cuts", (~enough).sum())
    labels = cutting.labels(cuts, life.deeds["purchase"], schema.tasks)
    lot = keep_negatives(cuts, life.user_hash, labels, settings.negative_rate, settings.seed)
    tally.count("undersampled_cuts", (enough & ~lot).sum())
    kept = enough & lot
    if not kept.any():
        return None
    since = None if since is None else since[kept]
    return _rows(life, cuts[kept], begins[kept], ends[kept], labels[kept], since, schema)


def _rows(
    life: Life,
    cuts: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    labels: np.ndarray,
    since: np.ndarray | None,
    schema: Schema,
) -> tuple[np.ndarray, Rows]:
    """Cuts [C] and where their windows are in each view [C, views] as rows, one a user and day."""
    user, time = cuts >> TIME_BITS, cuts & TIME_MASK
    day = time // DAY_MS
    first = np.flatnonzero(np.r_[True, (np.diff(user) != 0) | (np.diff(day) != 0)])
    of_row = np.diff(np.r_[first, len(cuts)])
    ids, times, actions, cut_end = {}, {}, {}, []
    for i, view in enumerate(schema.views):
        low = np.maximum(ends[:, i] - schema.length, begins[:, i])
        places, actions[view.name], end = seen_by_windows(low, ends[:, i], of_row)
        ids[view.name] = life.ids[view.name][places]
        times[view.name] = life.keys[view.name][places] & TIME_MASK
        cut_end.append(end)
    names = life.users.take(pa.array(user[first])).to_numpy(zero_copy_only=False)
    rows = Rows(
        users=names.astype(object),
        ids=ids,
        times=times,
        actions=actions,
        cut_time=time,
        cuts=of_row,
        cut_end=np.stack(cut_end, axis=1),
        labels=labels,
        history=history_ids(life, cuts, schema),
        profile=life.profile[user[first]],
        since=np.zeros(len(cuts), np.int64) if since is None else since,
    )
    return day[first] * DAY_MS, rows


def _begins(life: Life, from_: np.ndarray, schema: Schema) -> np.ndarray:
    """Where the actions at or after the keys `from_` begin in each view, [cuts, views]."""
    return np.stack([np.searchsorted(life.keys[v.name], from_) for v in schema.views], axis=1)
