"""Early fusion: the actions of all views merged by time into one sequence (section 4.2).

Letters: B batch, N positions of a window, V views, A width of an action.
"""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="intent")
class MergeByTime(keras.layers.Layer):
    """Gathers the actions of several views into one window, in the order it is told.

    The order comes with the sample (`intent.samples.fusion.fusion_order`), because ids hold no
    exact time.
    """

    def call(self, order, views):
        """(order [B, N], list of V windows [B, N, A]) -> (merged [B, N, A], real [B, N]).

        Position p of the merged window is action i of view v where order[p] = 1 + v * N + i; it is
        padding, and 0, where order[p] = 0.
        """
        order = ops.cast(order, "int32")
        real = order > 0
        actions = ops.concatenate(views, axis=1)  # [B, V * N, A]
        batch, length, width = ops.shape(actions)
        # One gather over the flattened batch: a batched gather has no cheap gradient.
        start = ops.arange(batch, dtype="int32")[:, None] * length
        flat = ops.reshape(actions, (-1, width))
        merged = ops.take(flat, start + ops.maximum(order - 1, 0), axis=0)
        return merged * ops.cast(real, merged.dtype)[..., None], real
