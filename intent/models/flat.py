"""A window laid flat, as the task branches read it.

Letters: B batch, N positions of a window, W width of a position.
"""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="intent")
class FlatWindow(keras.layers.Layer):
    """Flattens a window row by row, time first, as if it had `length` positions.

    The positions that a shorter window lacks are 0, which is what a padded position holds: the
    result does not depend on how much padding a window came with.

    Args:
        length: positions of a full window.
    """

    def __init__(self, length: int, **kwargs):
        super().__init__(**kwargs)
        self.length = length

    def compute_output_shape(self, window_shape):
        return window_shape[0], self.length * window_shape[2]

    def call(self, window):
        """[B, N, W] with N <= length -> [B, length * W]."""
        batch, positions, width = ops.shape(window)
        if window.shape[1] != self.length:  # a full window, as on a device, has nothing to add
            missing = ops.zeros((batch, self.length - positions, width), window.dtype)
            window = ops.concatenate([window, missing], axis=1)
        return ops.reshape(window, (batch, self.length * width))

    def get_config(self):
        return {**super().get_config(), "length": self.length}
