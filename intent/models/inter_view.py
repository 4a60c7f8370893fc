"""Inter-view attention: equation (4) of the paper.

Letters: B batch, N positions of a window, D hidden units of one GRU direction.
"""

from __future__ import annotations

import math

import keras
from keras import ops

from intent.models import kernels
from intent.models.masks import masked_softmax


@keras.saving.register_keras_serializable(package="intent")
class InterViewAttention(keras.layers.Layer):
    """r = IA(v, u): each view attends to the other, and the two results are multiplied."""

    def attention(self, v, v_real, u, u_real):
        """Both softmaxes of equation (4).

        Returns:
            (of_v [B, N, N]: row i says how action i of u attends to the actions of v;
            of_u [B, N, N]: row i says how action i of v attends to the actions of u).
            Columns of padding are 0.
        """
        scores = ops.matmul(v, ops.transpose(u, (0, 2, 1))) / math.sqrt(v.shape[-1])
        of_u = masked_softmax(scores, u_real[:, None, :])
        of_v = masked_softmax(ops.transpose(scores, (0, 2, 1)), v_real[:, None, :])
        return of_v, of_u

    def call(self, v, v_real, u, u_real):
        """(v [B, N, 2D], v_real [B, N], u, u_real) -> r [B, N, 2D]; IA(v, u) = IA(u, v).

        Position i is the query in both factors, so row i is 0 unless it is real in both views; an
        empty view gives zeros.
        """
        if kernels.usable(v, u):
            return kernels.inter_view(v, v_real, u, u_real)
        of_v, of_u = self.attention(v, v_real, u, u_real)
        real = ops.cast(ops.logical_and(v_real, u_real), v.dtype)[..., None]
        return ops.matmul(of_v, v) * ops.matmul(of_u, u) * real
