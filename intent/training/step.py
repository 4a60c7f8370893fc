"""One training step and one evaluation step of a Keras 3 model, compiled by TensorFlow.

Shapes: B groups of this rank in the step, L tasks with labels in the data, T tasks that the model
learns (some or all of the L, in the data's order).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from intent.config import TrainConfig
from intent.errors import IntentError
from intent.models.losses import step_loss
from intent.training.comm import Communicator

Inputs = Mapping[str, np.ndarray]
TrainingStep = Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def adam(config: TrainConfig, model: keras.Model) -> keras.optimizers.Adam:
    """Adam (section 6.1) with its state already built for `model`, so that it can be broadcast."""
    optimizer = keras.optimizers.Adam(
        learning_rate=config.learning_rate,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.epsilon,
    )
    optimizer.build(model.trainable_variables)
    return optimizer


def learned_tasks(model: keras.Model, labels: Sequence[str]) -> list[str]:
    """The model's tasks in the order of the data's `labels`; IntentError if one is not there."""
    missing = sorted(set(model.output) - set(labels))
    if missing:
        raise IntentError(
            f"the model learns {missing} but the data has labels only for {list(labels)}: "
            "set model.tasks to some of those, or build samples with these tasks"
        )
    return [name for name in labels if name in model.output]


def pick_inputs(model: keras.Model, inputs: Inputs) -> dict[str, np.ndarray]:
    """The inputs that the model takes; IntentError where the data lacks one."""
    names = list(model.input)
    missing = sorted(set(names) - set(inputs))
    if missing:
        raise IntentError(
            f"the model reads {missing} but the data carries only {sorted(inputs)}: "
            "set model.sources to some of those, or build samples with these sources"
        )
    return {name: inputs[name] for name in names}


def make_training_step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    labels: Sequence[str],
    task_weights: Mapping[str, float],
    comm: Communicator,
) -> TrainingStep:
    """A compiled `step(inputs, labels_BL, weights_B, total, stop)`.

    Each rank computes its part of the loss over the `total` groups of all ranks; the parts and
    their gradients are summed over ranks, so the update is the same for any number of ranks.

    The step takes labels uint8 [B, L] in the order of `labels`, weights float32 [B] (0 for
    filler), `total` and `stop` as float32 scalars; it returns the loss of the whole step, how many
    ranks set `stop`, and this rank's probabilities [B, T].
    """
    tasks = learned_tasks(model, labels)
    trainable = model.trainable_variables
    raw = [v.value for v in trainable]  # the tape and Horovod take tf.Variable, not Keras's

    @tf.function
    def step(inputs, labels_BL, weights_B, total, stop):
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = step_loss(logits, labels_BL, weights_B, total, labels, task_weights)
        gradients = tape.gradient(loss, raw)
        used = [i for i, gradient in enumerate(gradients) if gradient is not None]
        dense = [tf.convert_to_tensor(gradients[i]) for i in used]  # from IndexedSlices too
        *dense, loss, stop = comm.allreduce([*dense, loss, stop])
        optimizer.apply(dense, [trainable[i] for i in used])
        return loss, stop, tf.sigmoid(tf.stack([logits[t] for t in tasks], axis=1))

    return step


def make_scoring_step(
    model: keras.Model, labels: Sequence[str]
) -> Callable[[Mapping[str, np.ndarray]], tf.Tensor]:
    """A compiled `score(inputs)` that returns probabilities float32 [B, T]."""
    tasks = learned_tasks(model, labels)

    @tf.function
    def score(inputs):
        logits = model(inputs, training=False)
        return tf.sigmoid(tf.cast(tf.stack([logits[t] for t in tasks], axis=1), tf.float32))

    return score
