"""Mixed precision: products in bfloat16; weights, sums, losses and updates in float32."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from intent.models import kernels

log = logging.getLogger(__name__)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Models built and steps traced within it compute in `name`, "float32" or "bfloat16".

    On a CPU bfloat16 is for the products of inter-view attention alone, by the CPU's own unit for
    them (AMX); where it has none, everything stays float32, and a warning says so. Elsewhere, on a
    GPU, it is Keras's policy mixed_bfloat16.
    """
    import tensorflow as tf

    if name != "bfloat16":
        yield
    elif tf.config.list_physical_devices("GPU"):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)
    elif kernels.has_bfloat16():
        with kernels.bfloat16_products():
            yield
    else:
        why = "there are no CPU kernels" if kernels.operators() is None else "this CPU has no AMX"
        log.warning("train.precision=bfloat16: %s, so training is in float32", why)
        yield
