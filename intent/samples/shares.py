"""What the pool takes in: row groups read ahead, decoded, thinned, labelled and weighed.

n groups of a row group, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from intent.errors import IntentError
from intent.samples import controls
from intent.samples.plan import EpochPlan
from intent.samples.rowgroups import read_row_groups
from intent.samples.spread import draw, spread
from intent.samples.undersampling import is_negative
from intent.samples.units import Unit, needed_columns, read_unit

if TYPE_CHECKING:
    from intent.samples.reader import TrackFeed

AHEAD = 4  # batches that are made ahead of time, and row groups that are read ahead
Share = tuple[Unit, np.ndarray, np.ndarray]  # what `Pool.add` takes


def read_shares(feed: TrackFeed, plan: EpochPlan, numbers: list[int]) -> Iterator[Share]:
    """What the pool takes in, for each of the row groups `numbers` of `feed.units`.

    Args:
        feed: what is read, and how (see `TrackFeed`).
        plan: of the epoch: how many groups of each row group it has.

    Raises IntentError where a row group has other groups than the manifest says.
    """
    stored, sessions = feed.manifest.schema, feed.manifest.settings.get("session_gap_minutes")
    # Times are wanted where sessions end windows, where views are merged by time, or to count.
    times = None if feed.fusion or feed.action_times or sessions else ()
    whole = replace(feed.schema, tasks=stored.tasks)  # who is a negative, all tasks tell
    columns = [stored.tasks.index(task) for task in feed.schema.tasks]
    rates = kept_rates(feed) if feed.random_labels else None

    def decode(table: pa.Table, place: int) -> Share:
        number = numbers[place]
        unit = read_unit(table, stored, whole, times)
        negative = is_negative(unit.labels)
        if unit.groups != feed.sizes[number] or negative.sum() != feed.negatives[number]:
            raise IntentError(
                f"it has {unit.groups} groups, {negative.sum()} of them negative; the manifest "
                f"says {feed.sizes[number]} and {feed.negatives[number]}: the shard was "
                "replaced; build the samples again"
            )
        key = (feed.seed, plan.epoch, number)
        order = draw(negative, plan.sizes[number], *key)
        if feed.shuffle:
            order = order[spread(unit.rows[order], *key)]
        labels = unit.labels[:, columns]
        if feed.random_labels:
            labels = controls.by_lot(rates, len(labels), feed.seed, number)
        return replace(unit, schema=feed.schema, labels=labels), order, weigh(feed, negative)

    largest = int(feed.sizes.max())
    shares = read_row_groups(
        str(feed.root),
        [feed.units[number] for number in numbers],
        needed_columns(feed.schema),
        prefetch=min(max(feed.pool // feed.world // (2 * largest), 1), AHEAD),
        sizes={s.path: s.size for s in feed.manifest.shards},
        convert=decode,
    )
    if not feed.reversed_labels:
        return shares
    of_all = (str(feed.root), feed.units, numbers, stored, columns, feed.seed)
    return controls.reversed_labels(shares, *of_all)


def kept_rates(feed: TrackFeed) -> np.ndarray:
    """The tasks' base rates among the groups that an epoch has, [T]."""
    seen = 1 if feed.weigh_negatives else feed.negative_rate
    kept = feed.sizes.sum() - (1 - seen) * feed.negatives.sum()
    rates = [feed.manifest.label_rate(task.name) for task in feed.schema.tasks]
    return np.array(rates) * feed.sizes.sum() / kept


def weigh(feed: TrackFeed, negative: np.ndarray) -> np.ndarray:
    """Weights in the loss, float32 [n], of which groups are negative, bool [n]."""
    weights = np.ones(len(negative), np.float32)
    if feed.weigh_negatives and feed.negative_rate < 1:
        weights[negative] = 1 / feed.negative_rate
        share = feed.negatives.sum() / feed.sizes.sum()
        weights *= 1 - share + share * feed.negative_rate
    return weights
