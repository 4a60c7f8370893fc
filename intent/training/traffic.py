"""What a rank sends in one step, for N ranks, by the algorithms of Gloo and of Horovod's exchange.

- A sum (or maximum) of S bytes is a ring: every rank passes on N-1 of N chunks, twice; 2 (N-1)/N S.
- An exchange of N rows of S bytes sends N-1 of them.
- A concatenation of one part of S bytes from each rank is a ring that passes on N-1 parts.

Not counted: headers, and the few hundred bytes by which ranks tell each other what is ready.
"""

from __future__ import annotations

import tensorflow as tf


def of_sum(length: tf.Tensor | int, size: tf.Tensor) -> tf.Tensor:
    """Bytes, int64, for a sum of `length` bytes over `size` ranks."""
    return 2 * tf.cast(length, tf.int64) * tf.cast(size - 1, tf.int64) // tf.cast(size, tf.int64)


def of_part(length: tf.Tensor | int, size: tf.Tensor) -> tf.Tensor:
    """Bytes, int64, for an exchange or concatenation whose rows or parts have `length` bytes."""
    return tf.cast(length, tf.int64) * tf.cast(size - 1, tf.int64)
