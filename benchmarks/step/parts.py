"""Where a training step of ours goes: each layer forward and backward by itself, and Adam.

The parts are compiled and timed one by one, so their sum is not quite the step's time: what the
step does between layers, and what it does at the same time on several cores, is not in them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median

import keras
import tensorflow as tf

LEAST = 3
Inputs = dict


def of_step(model: keras.Model, optimizer, inputs: Inputs, seconds: float) -> list[dict]:
    """Milliseconds of the layers by kind ("bigru", ...), largest first, and of "adam".

    Args:
        inputs: one batch, as the model takes it.
        seconds: spent on each layer at least.
    """
    found: dict[str, list[float]] = defaultdict(list)
    used = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    given = keras.Model(model.input, [layer.input for layer in used])
    for layer, arguments in zip(used, given(inputs), strict=True):
        found[_kind(layer)].append(_median(_both_ways(layer, arguments), seconds))
    gradients = [tf.zeros(v.shape, v.dtype) for v in model.trainable_variables]
    apply = tf.function(lambda: optimizer.apply(gradients, model.trainable_variables))
    found["adam"].append(_median(apply, seconds))
    rows = [{"part": kind, "layers": len(s), "ms": 1000 * sum(s)} for kind, s in found.items()]
    return sorted(rows, key=lambda row: -row["ms"])


def _kind(layer: keras.layers.Layer) -> str:
    return type(layer).__name__


def _both_ways(layer, arguments) -> Callable:
    """The layer's outputs and the gradients of its floating inputs and weights, compiled."""
    flat = list(arguments) if isinstance(arguments, list | tuple) else [arguments]
    joins = isinstance(layer, keras.layers.Concatenate)  # takes a list
    weights = [v.value for v in layer.trainable_variables]

    @tf.function
    def run(*values):
        watched = [v for v in values if v.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            outputs = tf.nest.flatten(layer(list(values)) if joins else layer(*values))
            floats = [o for o in outputs if o.dtype.is_floating]
        # Ones in: as large as what comes in the step, and it costs nothing to make them.
        gradients = tape.gradient(floats, [*watched, *weights])
        return [tf.convert_to_tensor(g) for g in gradients if g is not None]

    return lambda: run(*flat)


def _median(run: Callable, seconds: float) -> float:
    run()
    took: list[float] = []
    begun = time.perf_counter()
    while len(took) < LEAST or time.perf_counter() - begun < seconds:
        at = time.perf_counter()
        run()
        took.append(time.perf_counter() - at)
    return median(took)
