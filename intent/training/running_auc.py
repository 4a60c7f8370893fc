"""The area under the ROC curve while training runs, from histograms that add up over ranks.

The exact figures of an evaluation are in `intent.metrics`.
"""

from __future__ import annotations

import numpy as np

BINS = 1024
LOGIT_SPAN = 16.0  # scores beyond +-16 fall into the outermost bins


def count_logits(logits_BT, labels_BT, real_B):
    """How many of a batch fall into each bin, within a compiled step: float32 [T, 2, BINS].

    By task, label and bin (equal steps of the logit). Histograms of ranks add up to the histogram
    of their union, so an AUC taken from their sum is that of the union, never a mean of AUCs. They
    hold whole numbers: sums are exact up to 2**24 in a bin.

    Args:
        logits_BT: [B, T] float32.
        labels_BT: [B, T] integers, 0 or 1.
        real_B: [B] booleans, false where a row only fills up the batch.
    """
    import tensorflow as tf

    tasks = logits_BT.shape[1]
    place = (tf.cast(logits_BT, tf.float32) + LOGIT_SPAN) * (BINS / (2 * LOGIT_SPAN))
    bins = tf.cast(tf.clip_by_value(tf.floor(place), 0.0, BINS - 1.0), tf.int32)
    row = 2 * tf.range(tasks) + tf.cast(labels_BT, tf.int32)  # [B, T], of task and label
    ones = tf.repeat(tf.cast(real_B, tf.float32)[:, None], tasks, axis=1)
    return tf.reshape(
        tf.math.unsorted_segment_sum(ones, row * BINS + bins, tasks * 2 * BINS), (tasks, 2, BINS)
    )


def empty_counts(tasks: int) -> np.ndarray:
    """The histogram of no scores, int64 [T, 2, BINS]."""
    return np.zeros((tasks, 2, BINS), np.int64)


def auc_of_counts(counts: np.ndarray) -> list[float]:
    """AUC of each task of a histogram [T, 2, BINS]; scores within a bin count as ties.

    So it is off the exact one by at most half of the share of pairs (a positive, a negative) that
    are in one bin, and by nothing where scores that differ are never in one.
    """
    result = []
    for negative, positive in counts.astype(np.float64):
        pairs = negative.sum() * positive.sum()
        below = np.cumsum(negative) - negative
        wins = float((positive * (below + negative / 2)).sum())
        result.append(wins / pairs if pairs else float("nan"))
    return result
