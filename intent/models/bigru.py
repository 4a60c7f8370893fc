"""The bidirectional GRU of section 4.2 over a right-padded window.

Letters: B batch, N positions of a window, A width of an action, D hidden units of one direction.
"""

from __future__ import annotations

import keras
from keras import ops

from intent.models import kernels


@keras.saving.register_keras_serializable(package="intent")
class BiGRU(keras.layers.Layer):
    """Two GRUs in opposite directions; padding moves no state.

    With `reset_after=False` each is equation (1) of the paper; with True it is the form that cuDNN
    runs (the reset gate multiplies after the recurrent matrix), and nothing here keeps TensorFlow
    from cuDNN where it sees a GPU: tanh and sigmoid, biases, no unrolling, no recurrent dropout.
    cuDNN also asks that a mask be right-padded and no sequence wholly masked, hence `steps` below.

    Args:
        units: D.
        reset_after: which of the two forms.
    """

    def __init__(self, units: int, reset_after: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.reset_after = reset_after
        shared = {
            "reset_after": reset_after,
            "return_sequences": True,
            "return_state": True,
            "dtype": self.dtype_policy,
        }
        self.forward_gru = keras.layers.GRU(units, name="forward", **shared)
        self.backward_gru = keras.layers.GRU(units, go_backwards=True, name="backward", **shared)

    def build(self, actions_shape, real_shape):
        self.forward_gru.build(actions_shape)
        self.backward_gru.build(actions_shape)

    def compute_output_shape(self, actions_shape, real_shape):
        batch, length, _ = actions_shape
        return (batch, length, 2 * self.units), (batch, self.units), (batch, self.units)

    def call(self, actions, real):
        """(actions [B, N, A], real [B, N]) -> (h [B, N, 2D], last forward [B, D], last backward).

        Row t of h is [forward h_t, backward h_t], 0 at padding. The last state of a direction is
        the one after the last action that it reads: action n forward, action 1 backward. All three
        are 0 for an empty window.
        """
        if kernels.usable(actions):
            weights = [(c.kernel, c.recurrent_kernel, c.bias) for c in self._cells()]
            return kernels.bi_gru(actions, real, *weights, self.reset_after)
        steps = cudnn_safe(real)
        forward, forward_last = self.forward_gru(actions, mask=steps)
        backward, backward_last = self.backward_gru(actions, mask=steps)
        h = ops.concatenate([forward, ops.flip(backward, axis=1)], axis=-1)
        keep = ops.cast(real, h.dtype)
        some = keep[:, :1]
        return h * keep[..., None], forward_last * some, backward_last * some

    def _cells(self):
        return self.forward_gru.cell, self.backward_gru.cell

    def get_config(self):
        return {**super().get_config(), "units": self.units, "reset_after": self.reset_after}


def cudnn_safe(real):
    """`real` [B, N] with the first position always true, for cuDNN fails on an empty sequence.

    What an empty window computes at that one position is multiplied by 0 afterwards.
    """
    first = ops.expand_dims(ops.arange(ops.shape(real)[1]) == 0, 0)
    return ops.logical_or(real, first)
