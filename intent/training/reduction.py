"""The sums over ranks of one training step, as part of its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from intent.training import traffic
from intent.training.comm import Communicator
from intent.training.compression import compressed_sum

BUCKET_BYTES = 2**20  # the heads are a bucket of their own, on their way while the rest is computed


@dataclass(frozen=True)
class Reduced:
    """The sums, and what they took.

    Attributes:
        gradients, figures: the sums over ranks, in the order given.
        seconds: float64 scalar, from the last local tensor to the last sum.
        bytes_sent: int64 scalar, by this rank, see `intent.training.traffic`.
    """

    gradients: list[tf.Tensor]
    figures: list[tf.Tensor]
    seconds: tf.Tensor
    bytes_sent: tf.Tensor

    @property
    def everything(self) -> list[tf.Tensor]:
        """All that must be there before anything is applied."""
        return [*self.gradients, *self.figures]


def nothing_to_reduce(gradients: list[tf.Tensor], figures: list[tf.Tensor]) -> Reduced:
    """The sums over one rank."""
    return Reduced(gradients, figures, tf.constant(0.0, tf.float64), tf.constant(0, tf.int64))


def reduce_all(
    gradients: Sequence[tf.Tensor],
    figures: Sequence[tf.Tensor],
    rows: Mapping[int, tf.Tensor],
    compression: str,
    comm: Communicator,
    size: tf.Tensor,
    bucket_bytes: int | None,
) -> Reduced:
    """Sum gradients and figures over the ranks of `comm`.

    Args:
        gradients: float32 tensors of static shape.
        figures: float32 tensors that are few and must stay exact; they are never compressed.
        rows: position of a gradient -> the rows that are not 0 on all ranks, from `touched_rows`.
        compression: "none", "float16" or "bfloat16".
        size: the number of ranks, int32 scalar: a compiled step outlives a change of it.
        bucket_bytes: gradients are summed in groups of about so many bytes, the last ones first,
            as the way back through the model gives them; None is one group.
    """
    with tf.control_dependencies([*gradients, *figures]):
        began = tf.timestamp()
    sums, sent = list(gradients), []

    def add_up(tensors, name, how):
        found, length = _sum(tensors, name, how, comm, size)
        sent.append(length)
        return found

    shapes = [t.shape for t in figures]
    exact = [tf.concat([tf.reshape(t, [-1]) for t in figures], axis=0)]
    whole = [i for i in range(len(gradients)) if i not in rows]
    # Every message costs a ring of latencies: figures travel with gradients that are exact, too.
    along = exact if whole and compression == "none" else []
    if not along:
        exact = add_up(exact, "step.figures", "none")
    if rows:
        picked = [tf.gather(gradients[i], chosen) for i, chosen in rows.items()]
        for (i, chosen), part in zip(
            rows.items(), add_up(picked, "step.rows", compression), strict=True
        ):
            sums[i] = tf.scatter_nd(chosen[:, None], part, gradients[i].shape)
    for number, group in enumerate(buckets(gradients, whole, bucket_bytes)):
        own = [gradients[i] for i in group]
        found = add_up([*own, *along], f"step.{number}", compression)
        for i, part in zip(group, found[: len(group)], strict=True):
            sums[i] = part
        if along:
            exact, along = found[len(group) :], []
    (counted,) = exact
    parts = tf.split(counted, [shape.num_elements() for shape in shapes])
    done = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    with tf.control_dependencies([*sums, *done]):
        seconds = tf.timestamp() - began
    return Reduced(sums, done, seconds, tf.add_n(sent))


def buckets(
    gradients: Sequence[tf.Tensor], positions: Sequence[int], least: int | None
) -> list[list[int]]:
    """`positions` from the last to the first, in groups of at least so many bytes each."""
    groups: list[list[int]] = []
    length = 0  # of the last group
    for i in reversed(positions):
        if not groups or (least is not None and length >= least):
            groups.append([])
            length = 0
        groups[-1].append(i)
        length += 4 * gradients[i].shape.num_elements()
    if len(groups) > 1 and length < least:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _sum(
    tensors: list[tf.Tensor], name: str, compression: str, comm: Communicator, size: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The sums over ranks, and the bytes that this rank sends for them."""
    if compression == "none":
        length = 4 * tf.add_n([tf.size(t) for t in tensors])
        return comm.allreduce(tensors, name), traffic.of_sum(length, size)
    return compressed_sum(tensors, compression, comm, name, size)
