"""The area under the ROC curve while training runs, from histograms that add up over ranks.

The exact figures of an evaluation are in `intent.metrics`.
"""

from __future__ import annotations

import numpy as np

BINS = 1024
LOGIT_SPAN = 16.0  # scores beyond +-16 fall into the outermost bins


def add_scores(
    counts: np.ndarray, scores: np.ndarray, labels: np.ndarray, real: np.ndarray
) -> None:
    """Count probabilities into `counts`, in place.

    Histograms of ranks add up to the histogram of their union, so an AUC taken from their sum is
    that of the union, never a mean of AUCs.

    Args:
        counts: int64 [T, 2, BINS], by task, label and bin (equal steps of the logit).
        scores: [b, T] probabilities.
        labels: [b, T], 0 or 1.
        real: [b], false where a row only fills up the batch.
    """
    p = np.clip(scores[real].astype(np.float64), 1e-12, 1 - 1e-12)
    logit = np.log(p) - np.log1p(-p)
    bins = ((logit + LOGIT_SPAN) * (BINS / (2 * LOGIT_SPAN))).astype(np.int64).clip(0, BINS - 1)
    tasks = np.broadcast_to(np.arange(counts.shape[0]), bins.shape)
    np.add.at(counts, (tasks, labels[real].astype(np.int64), bins), 1)


def empty_counts(tasks: int) -> np.ndarray:
    """The histogram of no scores, int64 [T, 2, BINS]."""
    return np.zeros((tasks, 2, BINS), np.int64)


def auc_of_counts(counts: np.ndarray) -> list[float]:
    """AUC of each task of a histogram [T, 2, BINS]; scores within a bin count as ties."""
    result = []
    for negative, positive in counts.astype(np.float64):
        pairs = negative.sum() * positive.sum()
        below = np.cumsum(negative) - negative
        wins = float((positive * (below + negative / 2)).sum())
        result.append(wins / pairs if pairs else float("nan"))
    return result
