"""A tf.function that is traced once for any number of groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def any_batch(
    function: tf.types.experimental.PolymorphicFunction, count: int
) -> Callable[..., Any]:
    """`function`, traced for each shape of its arguments but for the first axis of the batch.

    A rank's share of a step changes when ranks come or go. Tracing the model anew takes seconds,
    and all ranks wait for it. What is traced here knows no first axis, so it serves any share.

    Arguments are structures of arrays or tensors. The first `count` of them are the batch. The
    result's attribute `compiled` is `function`.
    """
    traced = {}

    def call(*arguments: Any) -> Any:
        structure = tuple(dict(a) if isinstance(a, dict) else a for a in arguments)
        tensors = tf.nest.map_structure(tf.convert_to_tensor, structure)
        specs = (
            *tf.nest.map_structure(_open, tensors[:count]),
            *tf.nest.map_structure(tf.TensorSpec.from_tensor, tensors[count:]),
        )
        key = str(specs)
        if key not in traced:
            traced[key] = function.get_concrete_function(*specs)
        return traced[key](*tensors)

    call.compiled = function
    return call


def _open(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)
