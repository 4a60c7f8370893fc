"""Sums over ranks at half the bytes: numbers travel as 16 bits and are added as 32.

Horovod adds float16 in float16 and cannot add bfloat16. So each rank sends every other rank its
chunk of the numbers (an exchange), adds up the chunk that is its own in float32, and sends that sum
to all (a concatenation). A number is rounded twice, whatever the number of ranks, and every rank
ends with the same bits.

float16 holds few powers of two. Each block of 256 numbers is scaled by a power of two of its own,
carried in front of it, so that its largest number comes out between 2**14 and 2**15: nothing
overflows, and what is 2**-29 of the largest keeps all its 11 bits.

Letters: N ranks, K blocks of a chunk, S numbers of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from intent.training import traffic
from intent.training.comm import Communicator

S = 256
KINDS = {"float16": tf.float16, "bfloat16": tf.bfloat16}
BYTES_OF_BLOCK = {"float16": 2 * S + 1, "bfloat16": 2 * S}


def compressed_sum(
    tensors: Sequence[tf.Tensor], kind: str, comm: Communicator, name: str, size: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The sums over the `size` ranks of float32 tensors, and the bytes that this rank sends."""
    # Each tensor is filled up to whole blocks, so that none shares a scale with another: gradients
    # of two layers may differ by a factor that float16 does not hold.
    lengths = [-(-_length(t) // S) * S for t in tensors]
    used = tf.add_n([tf.convert_to_tensor(length) for length in lengths]) // S
    blocks = -(-used // size)  # of a chunk
    flat = [_filled(t, length) for t, length in zip(tensors, lengths, strict=True)]
    rest = (blocks * size - used) * S
    numbers = tf.concat([*flat, tf.zeros([rest])], axis=0)
    chunks = encode(tf.reshape(numbers, (size, blocks, S)), kind)
    received = decode(comm.exchange(chunks, f"{name}.chunks"), kind)
    mine = encode(tf.reduce_sum(received, axis=0), kind)
    whole = decode(comm.concatenate(mine, f"{name}.sums"), kind)
    *parts, _ = tf.split(tf.reshape(whole, [-1]), [*lengths, rest])
    sent = 2 * traffic.of_part(blocks * BYTES_OF_BLOCK[kind], size)
    pairs = zip(parts, tensors, lengths, strict=True)
    return [_emptied(part, like, length) for part, like, length in pairs], sent


def _length(tensor: tf.Tensor) -> int | tf.Tensor:
    known = tensor.shape.num_elements()
    return tf.size(tensor) if known is None else known


def _filled(tensor: tf.Tensor, length: int | tf.Tensor) -> tf.Tensor:
    flat, own = tf.reshape(tensor, [-1]), _length(tensor)
    return flat if _same(own, length) else tf.pad(flat, [[0, length - own]])


def _emptied(flat: tf.Tensor, like: tf.Tensor, length: int | tf.Tensor) -> tf.Tensor:
    own = _length(like)
    return tf.reshape(flat if _same(own, length) else flat[:own], tf.shape(like))


def _same(own: int | tf.Tensor, length: int | tf.Tensor) -> bool:
    """Whether there is nothing to fill up, as far as that is known before the step runs."""
    return isinstance(own, int) and own == length


def encode(blocks: tf.Tensor, kind: str) -> tf.Tensor:
    """float32 [..., S] -> uint8 [..., bytes of a block]."""
    shape = tf.shape(blocks)[:-1]
    if kind == "bfloat16":
        return _bytes(tf.cast(blocks, tf.bfloat16), shape)
    exponent = _exponent(tf.reduce_max(tf.abs(blocks), axis=-1, keepdims=True))
    scaled = tf.cast(blocks * _power(268 - exponent), tf.float16)
    return tf.concat([tf.cast(exponent, tf.uint8), _bytes(scaled, shape)], axis=-1)


def decode(coded: tf.Tensor, kind: str) -> tf.Tensor:
    """The inverse of `encode`, to 11 bits (float16) or 8 (bfloat16)."""
    shape = tf.shape(coded)[:-1]
    head = BYTES_OF_BLOCK[kind] - 2 * S
    pairs = tf.reshape(coded[..., head:], tf.concat([shape, [S, 2]], axis=0))
    numbers = tf.cast(tf.bitcast(pairs, KINDS[kind]), tf.float32)
    if kind == "bfloat16":
        return numbers
    return numbers * _power(tf.cast(coded[..., :1], tf.int32) - 14)


def _bytes(numbers: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.bitcast(numbers, tf.uint8), tf.concat([shape, [2 * S]], axis=0))


def _exponent(largest: tf.Tensor) -> tf.Tensor:
    """e of largest = 1.x * 2**(e - 127), at least 15, so that both scales are normal numbers.

    It is 255 where a number is not finite; that comes out as not finite.
    """
    return tf.maximum(tf.bitcast(largest, tf.int32) // 2**23, 15)


def _power(exponent: tf.Tensor) -> tf.Tensor:
    """2**(exponent - 127), exactly; exponent int32 from 1 to 254."""
    return tf.bitcast(exponent * 2**23, tf.float32)
