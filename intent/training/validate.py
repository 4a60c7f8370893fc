"""Scores of a whole feed, from all ranks, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from intent.errors import IntentError
from intent.metrics import log_loss, roc_auc
from intent.progress import progress
from intent.samples.undersampling import recalibrate
from intent.schema import Task
from intent.training.comm import Communicator
from intent.training.on_device import on_device
from intent.training.step import learned_tasks, pick_inputs

if TYPE_CHECKING:
    from intent.samples.feed import Feed

Score = Callable[[Mapping[str, np.ndarray]], tf.Tensor]


def score_feed(
    model: keras.Model, score: Score, feed: Feed, comm: Communicator, title: str = "scoring"
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 [n, T] and labels uint8 [n, T] of every real group over all ranks.

    Each rank scores its share of the feed's epoch 0; the shares are joined in rank order, on every
    rank. IntentError where the feed gave less or more than it had announced.
    """
    names = [task.name for task in feed.schema.tasks]
    columns = [names.index(task) for task in learned_tasks(model, names)]
    scores, labels, announced = [], [], 0
    with progress(title, feed.steps(0), "steps", visible=comm.rank == 0) as bar:
        for batch, (inputs,) in on_device(
            feed.batches(0), lambda batch: (pick_inputs(model, batch.inputs),)
        ):
            comm.at_work()  # ranks have shares alike, and machines of their own
            real = batch.weights > 0
            scores.append(np.asarray(score(inputs))[real])
            labels.append(batch.labels[real][:, columns])
            announced += batch.total
            bar.advance(1)
    empty = np.zeros((0, len(columns)))
    mine = (
        np.concatenate([empty.astype(np.float32), *scores]),
        np.concatenate([empty.astype(np.uint8), *labels]),
    )
    shares = comm.gather(mine)
    all_scores, all_labels = (np.concatenate(part) for part in zip(*shares, strict=True))
    if len(all_scores) != announced:
        raise IntentError(
            f"{title}: the ranks scored {len(all_scores)} groups of {announced}: the feed repeats "
            "or drops some; check that every rank reads the same samples"
        )
    return all_scores, all_labels


def put_right(
    scores: np.ndarray, names: Sequence[str], tasks: Sequence[Task], rate: float
) -> np.ndarray:
    """Scores [n, T] of a model that learns from a share `rate` of the samples' negatives, as
    probabilities among all of the samples (`intent.samples.undersampling`).

    Args:
        names: of the T columns.
        tasks: all tasks of the feed.
    """
    right = recalibrate(dict(zip(names, scores.T, strict=True)), tasks, rate)
    return np.stack([right[name] for name in names], axis=1)


def summarize(scores: np.ndarray, labels: np.ndarray, tasks: Sequence[str]) -> dict[str, float]:
    """AUC and log loss of each task: {"auc_realtime": ..., "log_loss_realtime": ..., "groups"}."""
    result: dict[str, float] = {"groups": len(scores)}
    for column, task in enumerate(tasks):
        result[f"auc_{task}"] = roc_auc(scores[:, column], labels[:, column])
        result[f"log_loss_{task}"] = log_loss(scores[:, column], labels[:, column])
    return result
