"""The sums over ranks of one training step, as part of its graph.

What a rank sends, by the algorithms of Gloo, for N ranks and S bytes of float32: a sum is a ring of
2 (N-1)/N S bytes (every rank passes on N-1 of N chunks, twice).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from intent.training.comm import Communicator


@dataclass(frozen=True)
class Reduced:
    """The sums, and what they took.

    Attributes:
        gradients, figures: the sums over ranks, in the order given.
        seconds: float64 scalar, from the last local tensor to the last sum.
        bytes_sent: int64 scalar, by this rank.
    """

    gradients: list[tf.Tensor]
    figures: list[tf.Tensor]
    seconds: tf.Tensor
    bytes_sent: tf.Tensor

    @property
    def everything(self) -> list[tf.Tensor]:
        """All that must be there before anything is applied."""
        return [*self.gradients, *self.figures]


def reduce_all(
    gradients: Sequence[tf.Tensor], figures: Sequence[tf.Tensor], comm: Communicator, size
) -> Reduced:
    """Sum gradients and figures (both float32) over the `size` (int32 scalar) ranks of `comm`."""
    if comm.size == 1 and not comm.elastic:
        nothing = tf.constant(0.0, tf.float64), tf.constant(0, tf.int64)
        return Reduced(list(gradients), list(figures), *nothing)
    with tf.control_dependencies([*gradients, *figures]):
        began = tf.timestamp()
    sums = comm.allreduce([*gradients, *figures])
    with tf.control_dependencies(sums):
        seconds = tf.timestamp() - began
    length = sum(4 * t.shape.num_elements() for t in [*gradients, *figures])
    sent = ring(tf.constant(length, tf.int64), tf.cast(size, tf.int64))
    return Reduced(sums[: len(gradients)], sums[len(gradients) :], seconds, sent)


def ring(length, size):
    """Bytes that a rank sends while `size` ranks sum `length` bytes."""
    return 2 * length * (size - 1) // size
