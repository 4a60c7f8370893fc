"""How well is a stream of groups shuffled? Numbers against a perfect shuffle's, over a whole epoch.

Letters: N groups of an epoch, in the order of the stream.
"""

from __future__ import annotations

import numpy as np

from intent.samples.mixing import expected_distinct, neighbour_entropy


def quality(
    user_N: np.ndarray, day_N: np.ndarray, place_N: np.ndarray, batch: int
) -> dict[str, float]:
    """Shares of a perfect shuffle's value, 1 is perfect: "users", "user_days", "distances".

    Args:
        user_N, day_N: number of the user, and of the day, of each group of the stream.
        place_N: where each group lies on disk, 0 to N - 1.
    """
    return {
        "users": distinct(user_N, batch),
        "user_days": distinct(user_N * (int(day_N.max()) + 1) + day_N, batch),
        "distances": neighbour_entropy(stirred(place_N, batch)),
    }


def distinct(key_N: np.ndarray, batch: int) -> float:
    """Different keys in a batch, on average over the full ones, over a perfect shuffle's."""
    full = len(key_N) // batch
    batches = key_N[: full * batch].reshape(full, batch)
    found = np.mean([len(np.unique(keys)) for keys in batches])
    return float(found / expected_distinct(np.unique(key_N, return_counts=True)[1], batch))


def stirred(place_N: np.ndarray, batch: int, seed: int = 0) -> np.ndarray:
    """The same batches, each in an order drawn by lot: the order within a batch teaches nothing."""
    drawn = np.random.default_rng(seed).random(len(place_N))
    return place_N[np.lexsort((drawn, np.arange(len(place_N)) // batch))]
