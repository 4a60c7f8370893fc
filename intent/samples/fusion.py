"""The order in which early fusion merges the views of a group (section 4.2).

The ids of an action hold only a rounded time, so the order is worked out where the timestamps are
and handed to the model as one more input, "fusion".

Letters: B groups, N positions of a window, V views.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def fusion_order(
    timestamps: Sequence[np.ndarray], counts: Sequence[np.ndarray], length: int
) -> np.ndarray:
    """Where each position of the merged window comes from.

    All real actions of a group are put into the order of their time; at equal times the earlier
    view comes first, and within a view the order stays. The last `length` of them are kept,
    left-aligned. So a dense view crowds out a sparse one, which is the paper's point.

    Args:
        timestamps: per view of the model, in the order of its schema, [B, N] integers (ms), left-
            aligned; what stands at padding is not read.
        counts: per view [B], its real actions, 0 to N.
        length: N.

    Returns:
        [B, N] uint16: 0 is padding, 1 + v * N + i is action i of view v. The model's input
        "fusion".

    Raises:
        ValueError: shapes do not fit, or V * N does not fit into uint16.
    """
    if len(timestamps) != len(counts) or not len(timestamps):
        raise ValueError(
            f"got {len(timestamps)} timestamps and {len(counts)} counts; expected >= 1"
        )
    if len(timestamps) * length > np.iinfo(np.uint16).max:
        raise ValueError(f"{len(timestamps)} views of {length} actions do not fit into uint16")
    for t in timestamps:
        if t.ndim != 2 or t.shape[1] != length or len(t) != len(counts[0]):
            raise ValueError(f"timestamps are {t.shape}, expected ({len(counts[0])}, {length})")
    real = np.concatenate([np.arange(length) < np.asarray(c)[:, None] for c in counts], axis=1)
    times = np.concatenate([np.asarray(t, np.int64) for t in timestamps], axis=1)
    times = np.where(real, times, np.iinfo(np.int64).max)  # padding sorts last
    source = np.argsort(times, axis=1, kind="stable")
    total = real.sum(axis=1)
    rank = np.maximum(total - length, 0)[:, None] + np.arange(length)  # [B, N]
    inside = rank < total[:, None]
    picked = np.take_along_axis(source, np.where(inside, rank, 0), axis=1)
    return np.where(inside, picked + 1, 0).astype(np.uint16)
