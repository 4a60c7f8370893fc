"""A training step of the Keras model on the backend that a GPU machine has: PyTorch or JAX.

`intent.training.step` is TensorFlow's; these two are as small as the backends' manuals have them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np

from intent.config import TrainConfig
from intent.models.losses import step_loss


def on_torch(model: keras.Model, config: TrainConfig, labels: Sequence[str]) -> Callable:
    """`step(inputs, labels, weights) -> loss`, a tensor that may still be on its way."""
    import torch

    parameters = [v.value for v in model.trainable_variables]
    adam = torch.optim.Adam(
        parameters, config.learning_rate, (config.beta_1, config.beta_2), config.epsilon,
        fused=True,
    )  # fmt: skip

    def step(inputs, labels_BL, weights_B):
        adam.zero_grad()
        logits = model(inputs, training=True)
        loss = step_loss(logits, labels_BL, weights_B, len(labels_BL), labels)
        loss.backward()
        adam.step()
        return loss.detach()

    return step


def on_jax(model: keras.Model, config: TrainConfig, labels: Sequence[str]) -> Callable:
    """The same; the weights live in the step, not in the model."""
    import jax

    adam = keras.optimizers.Adam(config.learning_rate, config.beta_1, config.beta_2, config.epsilon)
    adam.build(model.trainable_variables)
    fixed = [v.value for v in model.non_trainable_variables]
    state = [[v.value for v in model.trainable_variables], [v.value for v in adam.variables]]

    def loss_of(trainable, inputs, labels_BL, weights_B):
        logits, _ = model.stateless_call(trainable, fixed, inputs, training=True)
        return step_loss(logits, labels_BL, weights_B, len(labels_BL), labels)

    @jax.jit
    def update(trainable, moments, *batch):
        loss, gradients = jax.value_and_grad(loss_of)(trainable, *batch)
        return loss, *adam.stateless_apply(moments, gradients, trainable)

    def step(*batch):
        loss, *state[:] = update(*state, *batch)
        return loss

    return step


STEPS = {"torch": on_torch, "jax": on_jax}


def on_device(values: np.ndarray):
    """The array on the accelerator, if there is one."""
    return keras.ops.convert_to_tensor(values)


def wait(value) -> None:
    """Returns when `value` is there."""
    if keras.backend.backend() == "jax":
        value.block_until_ready()
    elif value.is_cuda:
        import torch

        torch.cuda.synchronize()


def torch_operators(call: Callable, steps: int = 3, top: int = 15) -> list[dict]:
    """Where PyTorch spends the device's time (the CPU's where it has none): largest first."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as found:
        for _ in range(steps):
            call()
        if cuda:
            torch.cuda.synchronize()
    field = "self_device_time_total" if cuda else "self_cpu_time_total"
    rows = sorted(found.key_averages(), key=lambda row: -getattr(row, field))
    total = sum(getattr(row, field) for row in rows) or 1
    return [
        {"operator": row.key, "ms": getattr(row, field) / 1000 / steps,
         "share": getattr(row, field) / total, "calls": row.count // steps}
        for row in rows[:top]
    ]  # fmt: skip
