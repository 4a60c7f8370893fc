"""What undersampling does to scores and figures, and how both are put right.

Of the cuts without any positive label a share r was kept (`cleaning.keep_negatives`), so a model
that learns from them sees purchases more often than there are. Horizons are nested: who buys
within an hour buys within a day. So a cut has no positive label exactly if it has none for the
longest horizon L. Let p_t = P(purchase within t | inputs). A cut is kept with probability

    Z = p_L + r (1 - p_L),

and among the kept ones P'(t | inputs) = p'_t = p_t / Z, for every task t. From p'_L = p_L / Z

    Z = r / (1 - (1 - r) p'_L)          and        p_t = Z p'_t.

For t = L that is the known p = r p' / (1 - p' + r p'), odds divided by 1 / r; for a shorter
horizon it is p_t = p'_t (p_L / p'_L). Z takes p'_L of the same inputs: a model that has not learnt
the longest task cannot be put right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intent.errors import IntentError
from intent.schema import Task


def is_negative(labels: np.ndarray) -> np.ndarray:
    """Which groups have no positive label in any task, bool [n].

    Args:
        labels: [n, tasks], all tasks of the samples.
    """
    return ~np.asarray(labels).any(axis=1)


def longest_task(tasks: Sequence[Task]) -> str:
    """Name of the task with the longest horizon: it is positive where any of them is."""
    return max(tasks, key=lambda task: task.horizon_ms).name


def check_correctable(learnt: Sequence[str], tasks: Sequence[Task], rate: float) -> None:
    """IntentError where scores of the tasks `learnt` cannot be put right.

    Args:
        learnt: names of the model's tasks.
        tasks: all tasks of the samples that it was trained on.
        rate: share of the negatives that these samples kept.
    """
    if rate < 1 and longest_task(tasks) not in learnt:
        raise IntentError(
            f"the model was trained on samples that kept {rate:g} of the negatives, and learnt "
            f"only {', '.join(learnt)}; its scores can be put right with {longest_task(tasks)} "
            "beside them, not without. Train that task too (model.tasks), or on samples with "
            "samples.negative_rate=1"
        )


def recalibrate(scores: Mapping, tasks: Sequence[Task], rate: float) -> dict:
    """Probabilities in the real world from those among thinned negatives (module docstring).

    Args:
        scores: task name -> probabilities, arrays or tensors of one shape.
        tasks: all tasks of the samples that the model was trained on.
        rate: share of the negatives that these samples kept; 1 changes nothing.

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
