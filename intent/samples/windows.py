"""Windows: the last `length` actions of a track at or before a cut, sliced out when they are read.

B groups in a batch, N window length, A actions of all tracks in memory, F features of a view.
"""

from __future__ import annotations

import numpy as np

from intent.features import discretize
from intent.schema import View

# The age's id by the number of its finest steps: a table is ten times faster than the formula.
_AGES = discretize.age(np.arange(1 + 13 * 12) * discretize.age.fine).astype(np.uint8)


def gather(ids_AF: np.ndarray, low_B: np.ndarray, end_B: np.ndarray, length: int) -> np.ndarray:
    """The actions [max(low, end - length), end) of each group, padded on the right with 0.

    Args:
        ids_AF: packed ids of many tracks, one after the other.
        low_B: where each group's track begins in `ids_AF`.
        end_B: where its window ends (exclusive).

    Returns: [B, length, F] of the same type.
    """
    index, real = _positions(low_B, end_B, length)
    if not len(ids_AF):
        return np.zeros((len(end_B), length, ids_AF.shape[1]), ids_AF.dtype)
    window = ids_AF[index]
    window[~real] = 0
    return window


def ages(
    times_A: np.ndarray, at_B: np.ndarray, low_B: np.ndarray, end_B: np.ndarray, length: int
) -> np.ndarray:
    """Ids [B, length] of how long before the cut each action was (Table 3c's Timestamp)."""
    index, real = _positions(low_B, end_B, length)
    if not len(times_A):
        return np.zeros(index.shape, np.int64)
    steps = (at_B[:, None] - times_A[index]) // discretize.age.fine
    return _AGES.take(steps, mode="clip") * real


def window_times(
    times_A: np.ndarray, low_B: np.ndarray, end_B: np.ndarray, length: int
) -> np.ndarray:
    """Epoch ms of the actions in each window, [B, length]; 0 at padding."""
    index, real = _positions(low_B, end_B, length)
    if not len(times_A):
        return np.zeros(index.shape, np.int64)
    return np.where(real, times_A[index], 0)


def view_window(
    view: View,
    ids_AF: np.ndarray,
    times_A: np.ndarray,
    at_B: np.ndarray,
    low_B: np.ndarray,
    end_B: np.ndarray,
    length: int,
) -> np.ndarray:
    """A view's model input [B, N, F]: the window, with the age of each action if it has one."""
    window = gather(ids_AF, low_B, end_B, length)
    if any(f.name == "age" for f in view.features):
        window[:, :, view.column("age")] = ages(times_A, at_B, low_B, end_B, length)
    return window


def _positions(low_B: np.ndarray, end_B: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Index [B, length] into the tracks, and which positions are real; the others index 0."""
    start = np.maximum(np.asarray(low_B, np.int64), np.asarray(end_B, np.int64) - length)
    index = start[:, None] + np.arange(length)
    real = index < np.asarray(end_B)[:, None]
    return np.where(real, index, 0), real
