"""How well is a stream of groups shuffled? Two numbers, each against a perfect shuffle's.

Letters: N groups of an epoch, in the order of the stream.
"""

from __future__ import annotations

from math import lgamma

import numpy as np

BINS = 256


def distinct_per_batch(key_N: np.ndarray, batch: int) -> float:
    """Different keys (users, or users' days) in a batch, on average over the full batches."""
    full = len(key_N) // batch
    return float(np.mean([len(np.unique(b)) for b in key_N[: full * batch].reshape(full, batch)]))


def expected_distinct(key_N: np.ndarray, batch: int) -> float:
    """What `distinct_per_batch` is for a random permutation: a batch is a draw without return.

    A key with c groups is missing from a batch with the chance C(N - c, batch) / C(N, batch).
    """
    n = len(key_N)
    sizes, keys = np.unique(np.unique(key_N, return_counts=True)[1], return_counts=True)

    def missing(c: int) -> float:
        if n - c < batch:
            return 0.0
        logs = lgamma(n - c + 1) - lgamma(n - c - batch + 1) - lgamma(n + 1)
        return float(np.exp(logs + lgamma(n - batch + 1)))

    return float(sum(k * (1 - missing(int(c))) for c, k in zip(sizes, keys, strict=True)))


def distance_entropy(place_N: np.ndarray) -> float:
    """Entropy (nats) of the distance on disk between neighbours of the stream, in equal bins."""
    n = len(place_N)
    distance = np.abs(np.diff(place_N))
    return _entropy(np.bincount((distance - 1) * BINS // (n - 1), minlength=BINS) / (n - 1))


def expected_entropy(n: int) -> float:
    """What `distance_entropy` is for a random permutation of n groups.

    2 (n - d) of the n (n - 1) ordered pairs of places are d apart.
    """
    distance = np.arange(1, n)
    share = 2 * (n - distance) / (n * (n - 1))
    return _entropy(np.bincount((distance - 1) * BINS // (n - 1), share, minlength=BINS))


def _entropy(share: np.ndarray) -> float:
    share = share[share > 0]
    return float(abs((share * np.log(share)).sum()))


def stirred(place_N: np.ndarray, batch: int, seed: int = 0) -> np.ndarray:
    """The same batches, each in an order drawn by lot: the order within a batch teaches nothing."""
    drawn = np.random.default_rng(seed).random(len(place_N))
    return place_N[np.lexsort((drawn, np.arange(len(place_N)) // batch))]


def quality(
    user_N: np.ndarray, day_N: np.ndarray, place_N: np.ndarray, batch: int
) -> dict[str, float]:
    """Shares of a perfect shuffle's value, 1 is perfect: "users", "user_days", "distances".

    Args:
        user_N, day_N: number of the user, and of the day, of each group of the stream.
        place_N: where each group lies on disk, 0 to N - 1.
    """
    days = user_N * (int(day_N.max()) + 1) + day_N
    return {
        "users": distinct_per_batch(user_N, batch) / expected_distinct(user_N, batch),
        "user_days": distinct_per_batch(days, batch) / expected_distinct(days, batch),
        "distances": distance_entropy(stirred(place_N, batch)) / expected_entropy(len(place_N)),
    }
