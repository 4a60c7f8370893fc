"""A rank's share of a step computed piece by piece, for less memory."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def in_pieces(backward: Callable, batch: tuple, pieces: int, zeros: Callable):
    """`backward(*batch)`, or the sum of what it gives for `pieces` pieces of the batch.

    The pieces are computed one after another, so only one's activations are in memory. A loss that
    is divided by all groups of the step adds up to the same loss, and so do gradients, to the order
    of float32 sums.

    Args:
        backward: gives a structure of tensors whose shapes do not depend on the batch.
        batch: tensors, or dicts of tensors, with B first.
        pieces: at most one for each of the B groups is made. Sizes differ by 1 at most.
        zeros: gives the sum of no pieces.
    """
    if pieces == 1:
        return backward(*batch)
    rows = tf.shape(tf.nest.flatten(batch)[0])[0]
    count = tf.minimum(pieces, rows)

    def add(i, sums):
        start, end = i * rows // count, (i + 1) * rows // count
        piece = tf.nest.map_structure(lambda x: x[start:end], batch)
        return i + 1, tf.nest.map_structure(tf.add, sums, backward(*piece))

    start = tf.constant(0), zeros()
    return tf.while_loop(lambda i, _: i < count, add, start, parallel_iterations=1)[1]
