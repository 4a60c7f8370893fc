"""How well a feed mixes: what its batches are like beside those of a perfect shuffle.

Groups of one user's one day are neighbours on disk and alike, so a batch with many of one is a
smaller batch.

Letters: N groups of an epoch, B of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import lgamma
from typing import TYPE_CHECKING

import numpy as np

from intent.schema import DAY_MS

if TYPE_CHECKING:
    from intent.samples.feed import Batch
    from intent.samples.reader import TrackFeed


def users_per_batch(feed: TrackFeed, epoch: int = 0, batches: int | None = None) -> float:
    """Distinct user-days of a batch over those of a perfectly shuffled one; 1 is perfect.

    Args:
        feed: of one rank, so that it sees whole batches.
        batches: of the first so many; of all by default.
    """
    seen = [_user_days(batch) for batch in islice(feed.batches(epoch), batches)]
    full = [days for days in seen if len(days) == feed.batch]
    found = np.mean([len(np.unique(days)) for days in full])
    _, sizes = np.unique(np.concatenate(seen), return_counts=True)
    return float(found / expected_distinct(sizes, feed.batch))


def expected_distinct(sizes: np.ndarray, batch: int) -> float:
    """Kinds among `batch` of N things that are drawn at random, of kinds of `sizes` things.

    1 - C(N - s, B) / C(N, B) for each kind of s things.
    """
    whole = int(sizes.sum())

    def missed(size: int) -> float:
        rest = whole - size
        if rest < batch:
            return 0.0
        terms = (rest, whole - batch), (rest - batch, whole)
        up, down = (sum(lgamma(n + 1) for n in side) for side in terms)
        return float(np.exp(up - down))

    kinds, often = np.unique(sizes, return_counts=True)
    return float(sum(n * (1 - missed(int(s))) for s, n in zip(kinds, often, strict=True)))


def neighbour_entropy(places: np.ndarray, bins: int = 64) -> float:
    """Entropy of the distances on disk between neighbours of the stream, over a perfect shuffle's.

    1 is perfect; reading in the order of the disk is 0.

    Args:
        places: [N] a permutation of 0 .. N - 1: where the groups of the stream are on disk.
    """
    count = len(places)
    found = np.histogram(np.abs(np.diff(places)), bins, (0, count))[0] / max(count - 1, 1)
    edges = np.linspace(0, 1, bins + 1)
    perfect = np.diff(2 * edges - edges**2)  # the distance of two random points of a line
    return float(_entropy(found) / _entropy(perfect))


def _entropy(shares: np.ndarray) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _user_days(batch: Batch) -> np.ndarray:
    real = np.flatnonzero(batch.weights)
    days: Iterable[int] = (batch.times[real] // DAY_MS).tolist()
    users = batch.users[real].tolist()
    return np.array([hash((u, d)) for u, d in zip(users, days, strict=True)])
