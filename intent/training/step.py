"""One training step and one evaluation step of a Keras 3 model, compiled by TensorFlow.

Shapes: B groups of this rank in the step, L tasks with labels in the data, T tasks that the model
learns (some or all of the L, in the data's order).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from intent.config import TrainConfig
from intent.errors import IntentError
from intent.models.losses import step_loss
from intent.training.any_batch import any_batch
from intent.training.comm import Communicator
from intent.training.micro_batches import in_pieces
from intent.training.reduction import BUCKET_BYTES, nothing_to_reduce, reduce_all
from intent.training.running_auc import BINS, count_logits
from intent.training.touched import touched_rows, watched_tables

Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class StepOutcome:
    """What a step gives to every rank.

    Attributes:
        loss: of the whole step, over all ranks.
        flags_F: the sum over ranks of each flag.
        counts: int64 [T, 2, BINS], the histogram of this step's scores over all ranks, see
            `intent.training.running_auc`.
        reducing_s: seconds from this rank's last gradient to the last sum. The wait for slower
            ranks is part of it.
        bytes_sent: that this rank sent for the step's reductions, see
            `intent.training.traffic`.
    """

    loss: float
    flags_F: np.ndarray
    counts: np.ndarray
    reducing_s: float
    bytes_sent: int


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


def make_step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    labels: Sequence[str],
    config: TrainConfig,
    comm: Communicator,
    length: int = 0,
    bucket_bytes: int | None = BUCKET_BYTES,
) -> Callable[..., StepOutcome]:
    """A training step `step(inputs, labels_BL, weights_B, total, rate, flags_F) -> StepOutcome`.

    Each rank computes its part of the loss over the `total` groups of all ranks; the parts and
    their gradients are summed over ranks, so the update is the same for any number of ranks. It is
    applied once all sums are there: where another rank is lost, the step raises PeerLost and
    weights and optimizer are as before it. `comm.size` may change between two steps, and so may the
    number of groups: nothing is compiled anew. `optimizer` is built already (`adam`).

    `length` is that of a full window, by which large tables may be left whole, see
    `intent.training.touched`. `bucket_bytes` is for measurements, see `intent.training.reduction`.

    The step takes labels uint8 [B, L] in the order of `labels`, weights float32 [B] (0 for
    filler), the number `total`, the learning rate `rate` and float32 [F] `flags_F`, of which every
    rank gets the sum. It guards itself (`comm.guard`). Its attribute `compiled` is the
    tf.function.
    """
    tasks = learned_tasks(model, labels)
    columns = [list(labels).index(task) for task in tasks]
    trainable = model.trainable_variables
    raw = [v.value for v in trainable]  # the tape and Horovod take tf.Variable, not Keras's

    how = config.compression
    alone = comm.size == 1 and not comm.elastic
    tables = [] if alone else watched_tables(model, config, length)

    def nothing():
        """What `backward` gives for no groups."""
        counts = tf.zeros((len(tasks), 2, BINS))
        return tf.constant(0.0), counts, [tf.zeros(v.shape) for v in raw]

    def backward(total, inputs, labels_BL, weights_B):
        """This rank's loss, histogram and gradients, of all its groups or some."""
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = step_loss(logits, labels_BL, weights_B, total, labels, config.task_weights)
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(loss, raw, unconnected_gradients=zero)
        dense = [tf.convert_to_tensor(g) for g in gradients]  # from IndexedSlices too
        for gradient, variable in zip(dense, raw, strict=True):
            gradient.set_shape(variable.shape)  # which the kernels' gradients do not tell
        logits_BT = tf.stack([logits[task] for task in tasks], axis=1)
        counts = count_logits(logits_BT, tf.gather(labels_BL, columns, axis=1), weights_B > 0)
        return tf.cast(loss, tf.float32), counts, dense

    @tf.function
    def compiled(inputs, labels_BL, weights_B, total, rate, flags, size):
        rows, asked = touched_rows(tables, inputs, comm, size)  # beside the model, not after it
        batch = inputs, labels_BL, weights_B
        pass_back = partial(backward, total)
        loss, counts, local = in_pieces(pass_back, batch, config.micro_batches, nothing)
        figures = [loss, flags, counts]
        if alone:
            reduced = nothing_to_reduce(local, figures)
        else:
            reduced = reduce_all(local, figures, rows, how, comm, size, bucket_bytes)
        with tf.control_dependencies(reduced.everything):
            optimizer.learning_rate.assign(rate)
            optimizer.apply(clipped(reduced.gradients, config.clip_norm), trainable)
        return *reduced.figures, reduced.seconds, reduced.bytes_sent + asked

    run = any_batch(compiled, 3)

    def step(inputs, labels_BL, weights_B, total, rate, flags_F) -> StepOutcome:
        numbers = (tf.constant(x, tf.float32) for x in (total, rate, flags_F))
        with comm.guard():
            found = run(inputs, labels_BL, weights_B, *numbers, tf.constant(comm.size))
            loss, flags, counts, seconds, sent = (x.numpy() for x in found)
        return StepOutcome(float(loss), flags, counts.astype(np.int64), float(seconds), int(sent))

    step.compiled = compiled
    return step


def clipped(gradients: list[tf.Tensor], norm: float | None) -> list[tf.Tensor]:
    """`gradients` scaled so that their global norm is at most `norm`; None leaves them."""
    return gradients if norm is None else tf.clip_by_global_norm(gradients, norm)[0]


def make_scoring_step(
    model: keras.Model, labels: Sequence[str]
) -> Callable[[Mapping[str, np.ndarray]], tf.Tensor]:
    """A compiled `score(inputs)` that returns probabilities float32 [B, T], see `any_batch`."""
    tasks = learned_tasks(model, labels)

    @tf.function
    def score(inputs):
        logits = model(inputs, training=False)
        return tf.sigmoid(tf.cast(tf.stack([logits[t] for t in tasks], axis=1), tf.float32))

    return any_batch(score, 1)
