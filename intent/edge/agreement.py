"""Do device and trainer agree? The same users and moments, from raw events and from samples.

The trainer's scores come from windows that the sample job stored and from the float32 model. The
device's come from raw logs by its own encoding, windowing and converted model. Whatever drifts
between the two, an id, a window's edge, a history count, a weight, shows here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from intent.edge.runtime import Bundle
from intent.edge.score import RawLogs


def agreement(
    bundle: Bundle,
    logs: str | Path,
    users: np.ndarray,
    times: np.ndarray,
    scores: Mapping[str, np.ndarray],
    groups: int = 200,
    seed: int = 0,
    start: int | None = None,
) -> dict:
    """Compare the trainer's scores with the device's on some groups, drawn evenly.

    Args:
        bundle: the exported model.
        logs: the raw logs that the samples were built from.
        users, times: [n] the user and t0 (epoch ms) of each group.
        scores: task -> the trainer's probabilities [n].
        groups: how many to compare.
        seed: of the draw.
        start: where the samples' observed span begins (epoch ms); by default read off the logs.

    Returns {"groups", "max_difference", "mean_difference"} of probabilities, over all tasks.
    """
    rng = np.random.default_rng(seed)
    index = np.sort(rng.choice(len(users), min(groups, len(users)), replace=False))
    raw = RawLogs(bundle, logs, start)
    device = raw.score(raw.codes([str(u) for u in users[index]]), np.asarray(times)[index])
    difference = np.stack([np.abs(device[t] - scores[t][index]) for t in bundle.tasks])
    return {
        "groups": len(index),
        "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
    }
