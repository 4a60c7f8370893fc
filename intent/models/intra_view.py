"""Intra-view attention: equations (2) and (3) of the paper.

Letters: B batch, N positions of a window, n real actions in it, D hidden units of one GRU
direction.
"""

from __future__ import annotations

import keras
from keras import ops

from intent.models import kernels
from intent.models.masks import masked_softmax


@keras.saving.register_keras_serializable(package="intent")
class IntraViewAttention(keras.layers.Layer):
    """Scales every state of a window by its relation to the current action; sums nothing.

    Args:
        scale: "none" is equation (3), v_t = a_t h_t. "length" is v_t = n a_t h_t: even attention
            then leaves a state as it is, where the paper's divides it by n.
    """

    def __init__(self, scale: str = "none", **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, h_shape, last_shape, real_shape):
        self.w_a = self.add_weight(
            shape=(h_shape[-1], last_shape[-1]), initializer="glorot_uniform", name="w_a"
        )

    def scores(self, h, last, real):
        """a [B, N] of equation (2): softmax over the real actions of h_t W_a h_n; 0 at padding."""
        current = self._current(last)
        return masked_softmax(ops.squeeze(ops.matmul(h, current[..., None]), -1), real)

    def _current(self, last):
        """W_a h_n of equation (2), [B, 2D]."""
        return ops.matmul(last, ops.transpose(self.w_a))

    def call(self, h, last, real):
        """(h [B, N, 2D], last forward state [B, D], real [B, N]) -> v [B, N, 2D], equation (3)."""
        if kernels.usable(h):
            return kernels.intra_view(h, real, self._current(last), self.scale == "length")
        a = self.scores(h, last, real)
        if self.scale == "length":
            n = ops.sum(ops.cast(real, "float32"), axis=-1, keepdims=True)
            a = a * ops.cast(n, a.dtype)
        return h * a[..., None]

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
