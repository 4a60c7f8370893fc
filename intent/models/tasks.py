"""The multi-task layer of section 4.4: one branch of fully connected layers per task.

Letters: B batch, Z width of what enters the branches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="intent")
class TaskBranch(keras.layers.Layer):
    """Fully connected layers with ReLU, then one logit.

    The logit stays in the precision of the weights (float32 under mixed precision), because a loss
    computed from half-precision logits is coarse.

    Args:
        units: widths of the hidden layers; may be empty.
    """

    def __init__(self, units: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.units = list(units)
        self.hidden = [
            keras.layers.Dense(n, activation="relu", name=f"fc_{i}", dtype=self.dtype_policy)
            for i, n in enumerate(self.units)
        ]
        self.logit = keras.layers.Dense(1, name="logit", dtype=self.variable_dtype)

    def build(self, z_shape):
        widths = [z_shape[-1], *self.units]
        for layer, width in zip([*self.hidden, self.logit], widths, strict=True):
            layer.build((z_shape[0], width))

    def call(self, z):
        """[B, Z] -> logits [B]."""
        for layer in self.hidden:
            z = layer(z)
        return ops.squeeze(self.logit(z), -1)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def start_from_base_rates(model: keras.Model, rates: Mapping[str, float]) -> None:
    """Let an untrained model say the base rate of each task, not one half.

    Else the first steps are spent on unlearning one half, through every weight that can lower the
    logits: active users end up with lower scores than idle ones, whoever buys.

    Args:
        model: built by `intent.models.dipn.build`.
        rates: share of positive groups by task; a task that the model lacks is passed over.
    """
    for task, rate in rates.items():
        if task in model.output:
            rate = min(max(rate, 1e-4), 1 - 1e-4)
            model.get_layer(task).logit.bias.assign([math.log(rate / (1 - rate))])
