"""What undersampling does to scores and figures, and how both are put right.

Of the cuts without any positive label a share r was kept, when the samples were built
(`cleaning.keep_negatives`) or when an epoch was drawn from them (`train.negative_rate`), or both;
r is the product. So a model that learns from what was kept sees purchases more often than there
are. Horizons are nested: who buys within an hour buys within a day. So a cut has no positive label
exactly if it has none for the longest horizon L. Let p_t = P(purchase within t | inputs). A cut is
kept with probability

    Z = p_L + r (1 - p_L),

and among the kept ones P'(t | inputs) = p'_t = p_t / Z, for every task t. From p'_L = p_L / Z

    Z = r / (1 - (1 - r) p'_L)          and        p_t = Z p'_t.

For t = L that is the known p = r p' / (1 - p' + r p'), odds divided by 1 / r; for a shorter
horizon it is p_t = p'_t (p_L / p'_L). Z takes p'_L of the same inputs: a model that has not learnt
the longest task cannot be put right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from intent.errors import IntentError
from intent.schema import Task

if TYPE_CHECKING:
    from intent.config import TrainConfig
    from intent.samples.manifest import Manifest


def is_negative(labels: np.ndarray) -> np.ndarray:
    """Which groups have no positive label in any task, bool [n].

    Args:
        labels: [n, tasks], all tasks of the samples.
    """
    return ~np.asarray(labels).any(axis=1)


def share_seen(train: TrainConfig) -> float:
    """Share of the samples' negatives that a run's loss knows of.

    Where those that an epoch leaves out are made up for by the weights of the others, it is all.
    """
    return 1.0 if train.weigh_negatives else train.negative_rate


def learnt_rate(manifest: Manifest, train: TrainConfig) -> float:
    """Share of the real world's negatives that a run learnt from: its scores are off by that.

    Args:
        manifest: of the samples that it was trained on.
        train: how.
    """
    return manifest.negative_rate * share_seen(train)


def learnt_label_rates(manifest: Manifest, train: TrainConfig) -> dict[str, float]:
    """Share of positives by task, as a run on these samples sees it.

    Args:
        manifest: of the samples, reduced to the days that it is trained on.
        train: how.
    """
    seen = manifest.groups - (1 - share_seen(train)) * manifest.negatives
    tasks = [task.name for task in manifest.schema.tasks]
    return {t: sum(s.positives[t] for s in manifest.shards) / max(seen, 1) for t in tasks}


def longest_task(tasks: Sequence[Task]) -> str:
    """Name of the task with the longest horizon: it is positive where any of them is."""
    return max(tasks, key=lambda task: task.horizon_ms).name


def check_correctable(learnt: Sequence[str], tasks: Sequence[Task], rate: float) -> None:
    """IntentError where scores of the tasks `learnt` cannot be put right.

    Args:
        learnt: names of the model's tasks whose loss counts.
        tasks: all tasks of the samples that it was trained on.
        rate: share of the negatives that it learnt from.
    """
    if rate < 1 and longest_task(tasks) not in learnt:
        raise IntentError(
            f"the model learns from {rate:g} of the negatives, and only {', '.join(learnt)}; its "
            f"scores can be put right with {longest_task(tasks)} beside them, not without. Train "
            "that task too (model.tasks), or on samples with samples.negative_rate=1 and with "
            "train.negative_rate=1 or train.weigh_negatives=true"
        )


def recalibrate(scores: Mapping, tasks: Sequence[Task], rate: float) -> dict:
    """Probabilities in the real world from those among thinned negatives (module docstring).

    Args:
        scores: task name -> probabilities, arrays or tensors of one shape.
        tasks: all tasks of the samples that the model was trained on.
        rate: share of the negatives that it learnt from; 1 changes nothing.

    Raises IntentError where the longest task is not among the scores and `rate` is below 1.
    """
    check_correctable(list(scores), tasks, rate)
    if rate == 1:
        return dict(scores)
    longest = scores[longest_task(tasks)]
    kept = rate / ((1 - longest) + rate * longest)  # so written, 1 stays 1 in float32
    return {task: p * kept for task, p in scores.items()}


def weights(labels: np.ndarray, rate: float) -> np.ndarray:
    """How many cuts of the real world each kept one stands for, float64 [n].

    Args:
        labels: [n, tasks], all tasks of the samples.
        rate: share of the negatives that the samples kept.
    """
    return np.where(is_negative(labels), 1 / rate, 1.0)
