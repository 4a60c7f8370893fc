"""What is known of some users: their cleaned actions by view, their history and their profile."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from intent.config import SamplesConfig
from intent.features import discretize, tables
from intent.features.history import TIME_BITS, counts
from intent.samples import cleaning
from intent.samples.exclusion import EXCLUDED, NOTHING, Exclusion
from intent.samples.records import Records, Rows
from intent.schema import BROWSE, HISTORY_ACTIONS, Schema, narrowest

FIRST_GAP = np.inf  # before the first action there was no other: the longest gap


@dataclass
class BuildCounts:
    """What became of the records: in = used + quarantined + dropped, for each table."""

    used: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    counted: Counter = field(default_factory=Counter)

    def drop(self, reason: str, table: str, rows: int) -> None:
        """Count `rows` rows of `table` as dropped for `reason`."""
        if rows:
            self.dropped[f"{table}/{reason}"] += rows

    def count(self, what: str, number: int) -> None:
        """Count something that is no row."""
        if number:
            self.counted[what] += int(number)


@dataclass(frozen=True)
class Life:
    """All usable records of some users, by source, sorted by user and time.

    Attributes:
        users: names by user code.
        user_hash: [users] uint64.
        keys: view -> [actions] of user << TIME_BITS | time; of those that windows may show.
        ids: view -> [actions, features], the swipe view's time gap filled in.
        deeds: action of HISTORY_ACTIONS -> [events] keys, those included that windows do not show.
        day_ends, daily: the daily counts before the logs start, see `history.counts`.
        profile: [users, 6] ids, 0 where the user has no profile.
    """

    users: pa.Array
    user_hash: np.ndarray
    keys: dict[str, np.ndarray]
    ids: dict[str, np.ndarray]
    deeds: dict[str, np.ndarray]
    day_ends: np.ndarray
    daily: np.ndarray
    profile: np.ndarray

    def moments(self) -> np.ndarray:
        """Sorted keys of all actions that windows may show, repetitions included."""
        return np.sort(np.concatenate([*self.keys.values(), np.zeros(0, np.int64)]))


def read_life(
    records: Records,
    schema: Schema,
    start: int,
    tally: BuildCounts,
    settings: SamplesConfig | None = None,
    exclusion: Exclusion = NOTHING,
) -> Life:
    """Clean the records of some users and put them in order of use.

    Args:
        records: usable rows.
        schema: which views, history and profile there are.
        start: where the browse table begins (epoch ms); daily counts are taken from before it.
        tally: is added to.
        settings: of the cleaning; the defaults where None.
        exclusion: actions that windows do not show, `settings.exclude` resolved.
    """
    settings = settings or SamplesConfig()
    if set(settings.exclude) != set(exclusion.entries):
        raise ValueError(f"{settings.exclude} was not resolved: {exclusion.entries}")
    rows = _cleaned(records, settings, tally)
    deeds = _deeds(rows["browse"])
    keys, ids = {}, {}
    for view in schema.views:
        table = tables.VIEW_TABLES[view.name]
        shown = ~exclusion.hides(view.name, rows[table].ids)
        found = _keep(rows[table], shown, table, EXCLUDED, tally)
        keys[view.name], ids[view.name] = found.key, found.ids
        if view.name == "swipe":
            gap = np.full(len(found.key), FIRST_GAP)
            same_user = np.flatnonzero(np.diff(found.key >> TIME_BITS) == 0)
            gap[same_user + 1] = np.diff(found.key)[same_user]
            ids["swipe"] = found.ids.copy()
            ids["swipe"][:, view.column("time_gap")] = discretize.time_gap(gap)
    daily = rows["history"]
    before = (daily.key & ((1 << TIME_BITS) - 1)) < start
    daily = _keep(daily, before, "history", "overlaps_logs", tally)
    people = rows["profile"]
    first = np.r_[True, np.diff(people.key >> TIME_BITS) != 0][: len(people.key)]
    people = _keep(people, first, "profile", "second_profile", tally)
    profile = np.zeros((len(records.users), len(schema.profile)), narrowest(schema.profile))
    if schema.profile:
        profile[people.key >> TIME_BITS] = people.ids
    return Life(
        users=records.users,
        user_hash=records.user_hash,
        keys=keys,
        ids=ids,
        deeds=deeds,
        day_ends=daily.key,
        daily=daily.ids.astype(np.int64),
        profile=profile,
    )


def history_ids(life: Life, at: np.ndarray, schema: Schema) -> np.ndarray:
    """Ids of the 18 history counts as of the keys `at`, [moments, 18]."""
    events = [life.deeds[action] for action in HISTORY_ACTIONS]
    found = counts(at, events, life.day_ends, life.daily)
    return discretize.count(found, schema.history).astype(narrowest(schema.history))


def _deeds(browse: Rows) -> dict[str, np.ndarray]:
    """Keys of the events that are counted, by action."""
    kinds = browse.ids[:, BROWSE.column("type")]
    codes = {action: tables.BROWSE_TYPES.index(action) + 1 for action in HISTORY_ACTIONS}
    return {action: browse.key[kinds == code] for action, code in codes.items()}


def _cleaned(records: Records, settings: SamplesConfig, tally: BuildCounts) -> dict[str, Rows]:
    rows = {}
    for name, found in records.rows.items():
        tally.used[name] += len(found.key)
        if settings.drop_duplicates:
            found = _keep(found, ~found.repeated, name, "duplicate", tally)
        rows[name] = _ordered(found, name, settings, tally)
    if settings.bot_actions_per_minute is None and settings.bot_regularity is None:
        return rows
    moments = np.sort(np.concatenate([rows[name].key for name in tables.EVENT_TABLES]))
    bot = cleaning.bots(
        moments,
        len(records.users),
        settings.bot_actions_per_minute,
        settings.bot_regularity,
        settings.bot_least_actions,
    )
    tally.count("bots", bot.sum())
    if not bot.any():
        return rows
    return {
        name: _keep(found, ~bot[found.key >> TIME_BITS], name, "bot", tally)
        for name, found in rows.items()
    }


def _ordered(found: Rows, name: str, settings: SamplesConfig, tally: BuildCounts) -> Rows:
    """Count the rows that arrived after a later one of the same user; drop them if so set."""
    if name not in tables.EVENT_TABLES or found.delay is None:
        return found
    order = np.lexsort((found.key + found.delay, found.key >> TIME_BITS))
    behind = np.zeros(len(found.key), bool)
    behind[order] = cleaning.out_of_order(found.key[order])
    tally.count(f"out_of_order {name}", behind.sum())
    if settings.out_of_order == "drop":
        return _keep(found, ~behind, name, "out_of_order", tally)
    return found


def _keep(found: Rows, kept: np.ndarray, name: str, reason: str, tally: BuildCounts) -> Rows:
    """The rows that are `kept`; the others, counted as used so far, are counted as dropped."""
    gone = int(len(kept) - kept.sum())
    if not gone:
        return found
    tally.used[name] -= gone
    tally.drop(reason, name, gone)
    return found.only(kept)
