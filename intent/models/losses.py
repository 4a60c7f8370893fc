"""The loss of equations (5) and (6), written so that it can be summed over ranks.

Letters: b rows of this rank's batch, T tasks of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
from keras import ops


def cross_entropy(logits, labels):
    """-(y log p + (1 - y) log(1 - p)) per example for p = sigmoid(logit) and y in {0, 1}.

    It equals log(1 + e^x) where y = 0 and log(1 + e^-x) where y = 1, which is finite for any logit
    and whose gradient is p - y everywhere, at 0 as well.
    """
    return ops.softplus((1 - 2 * ops.cast(labels, logits.dtype)) * logits)


def step_loss(
    logits: Mapping[str, object],
    labels,
    weights,
    total: int,
    tasks: Sequence[str],
    task_weights: Mapping[str, float] | None = None,
):
    """This rank's share of a step's loss: summed over ranks it is equation (6) over the step.

    sum_i w_i * sum_task weight_task * BCE_i / total. The divisor is the number of real groups of
    the step on all ranks, so gradients are to be summed over ranks, never averaged.

    Args:
        logits: task -> [b]; a subset of `tasks` if the model learns only some.
        labels: [b, T] 0 or 1, one column per task of the data.
        weights: [b]; 0 marks the filler of a short batch.
        total: real groups in this step over all ranks.
        tasks: names of the T columns of `labels`.
        task_weights: task -> weight; 1 where not given.

    Returns:
        A scalar in the dtype of the logits.
    """
    given = dict(task_weights or {})
    unknown = sorted((set(logits) | set(given)) - set(tasks))
    if unknown:
        raise ValueError(f"no labels for task {unknown}; the data has {list(tasks)}")
    per_example = 0.0
    for name, logit in logits.items():
        loss = cross_entropy(logit, labels[:, list(tasks).index(name)])
        per_example = per_example + given.get(name, 1.0) * loss
    dtype = keras.backend.standardize_dtype(per_example.dtype)
    return ops.sum(per_example * ops.cast(weights, dtype)) / ops.cast(total, dtype)
