"""The session features of a whole feed, in memory: what a baseline is fitted to.

Letters: n groups, K features, T tasks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from intent.baselines.features import Features, session_features
from intent.errors import IntentError
from intent.progress import progress

if TYPE_CHECKING:
    from intent.samples.feed import Batch, Feed

PARTS = 1000  # into which users are dealt


@dataclass(frozen=True)
class Table:
    """Session features and labels of n groups.

    Attributes:
        names: [K]; categorical: those of them that are categories.
        values: [n, K] float32; labels: [n, T]; weights: [n] in the loss.
        users: [n]; times: [n] epoch ms of the cuts.
    """

    names: tuple[str, ...]
    categorical: tuple[str, ...]
    values: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    users: np.ndarray
    times: np.ndarray


def read_table(feed: Feed, epochs: int = 1) -> Table:
    """The features of all groups of the feed's first epochs; it must give the times of actions.

    More than one epoch is for feeds whose epochs differ; a group that comes twice counts twice.
    """
    steps = sum(feed.steps(epoch) for epoch in range(epochs))
    parts: list[tuple[np.ndarray, ...]] = []
    made: Features | None = None
    values, rows = np.empty((0, 0), np.float32), 0
    with progress("counting", steps, "steps") as bar:
        for batch, made in chain.from_iterable(features_of(feed, e) for e in range(epochs)):
            real = batch.weights > 0
            if not parts:  # all at once, or memory would hold everything twice
                values = np.empty((steps * batch.total, len(made.names)), np.float32)
            values[rows : rows + len(made.values)] = made.values
            rows += len(made.values)
            parts.append(tuple(a[real] for a in (batch.labels, batch.weights, batch.users,
                                                 batch.times)))  # fmt: skip
            bar.advance()
    if made is None or not rows:
        raise IntentError("the samples have no groups on the days to learn from")
    labels, weights, users, times = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Table(made.names, made.categorical, values[:rows], labels, weights, users, times)


def features_of(feed: Feed, epoch: int = 0) -> Iterator[tuple[Batch, Features]]:
    """Each batch of an epoch of the feed, and the features of its groups; fillers are left out."""
    for batch in feed.batches(epoch):
        real = batch.weights > 0
        inputs = {name: ids[real] for name, ids in batch.inputs.items()}
        yield batch, session_features(inputs, batch.times[real], feed.schema)


def share_of_users(users: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which groups [n] are of a share of the users: whole ones, and the same in any order."""
    names, place = np.unique(np.asarray(users, str), return_inverse=True)
    drawn = [zlib.crc32(f"{seed}:{name}".encode()) % PARTS < share * PARTS for name in names]
    return np.array(drawn, bool)[place]
