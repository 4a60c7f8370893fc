"""A feed whose windows hold the same actions in another order: a control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from intent.samples.feed import Batch
from intent.samples.reader import TrackFeed


class MixedOrder:
    """`feed`, with the real actions of every window of every view shuffled among themselves."""

    def __init__(self, feed: TrackFeed, seed: int) -> None:
        self.feed, self.schema, self.seed = feed, feed.schema, seed

    def steps(self, epoch: int) -> int:
        """As many as the feed has."""
        return self.feed.steps(epoch)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The feed's batches, shuffled within windows."""
        rng = np.random.default_rng([self.seed, epoch, start])
        for batch in self.feed.batches(epoch, start):
            inputs = dict(batch.inputs)
            for view in self.schema.views:
                inputs[view.name] = mixed(inputs[view.name], view.marker_column, rng)
            yield replace(batch, inputs=inputs)


def mixed(ids: np.ndarray, marker: int, rng: np.random.Generator) -> np.ndarray:
    """Windows [b, N, F] with real actions in random places; padding stays at the end."""
    place = rng.random(ids.shape[:2])
    place[ids[:, :, marker] == 0] = 2  # behind every real action
    return np.take_along_axis(ids, np.argsort(place, axis=1)[:, :, None], axis=1)
