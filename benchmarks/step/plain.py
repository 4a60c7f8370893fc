"""The plain Keras model's training step and scoring, for a child of its own."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.step import meter
from benchmarks.step.batches import LABELS, Batch
from benchmarks.step.plain_keras import PlainDIPN, copy_weights
from intent.schema import Schema


class Plain(meter.Variant):
    """The plain model under tf.function.

    Args:
        schema: as a dict, reduced to what the model takes.
        model: fields of ModelConfig.
        train: fields of TrainConfig, for Adam.
        weights: file with ours, by path.
        form: of the Bi-GRU, see `plain_keras.FORMS`.
        jit: whether XLA compiles the step and the scoring.
    """

    def __init__(
        self, schema: dict, model: dict, train: dict, weights: str, cores: int, form: str,
        jit: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        known = Schema.from_dict(schema)
        self.model = PlainDIPN(known, model, form)
        empty = {
            **{v.name: np.zeros((1, known.length, v.width), np.int32) for v in known.views},
            **{n: np.zeros((1, len(getattr(known, n))), np.int32) for n in self.model.contexts},
        }
        self.model(empty)
        with np.load(weights) as file:
            copy_weights(self.model, file)
        adam = keras.optimizers.Adam(
            train["learning_rate"], train["beta_1"], train["beta_2"], train["epsilon"]
        )
        adam.build(self.model.trainable_variables)
        self.compiled_step, self.compiled_score = compiled(
            self.model, adam, [t.name for t in known.tasks], jit
        )
        self.names = list(empty)

    def prepare(self, batch: Batch):
        return {name: batch[name] for name in self.names}, batch[LABELS].astype(np.float32)

    def step(self, batch) -> float:
        """One update of the weights; the loss before it."""
        return float(self.compiled_step(*batch))

    def score(self, batch) -> np.ndarray:
        """Probabilities [B, T]."""
        return self.compiled_score(batch[0]).numpy()


def compiled(model: PlainDIPN, adam: keras.optimizers.Adam, tasks: list[str], jit: bool):
    """`step(inputs, labels)` and `score(inputs)`, each a tf.function."""
    trainable = model.trainable_variables

    @tf.function(jit_compile=jit)
    def step(inputs, labels):
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            logits = tf.stack([logits[t] for t in tasks], axis=1)
            each = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(tf.reduce_mean(each, axis=0))  # equation (6), over a batch
        gradients = tape.gradient(loss, [v.value for v in trainable])
        # Keras's Adam squares the parts of a sparse gradient one by one where an id comes again,
        # which is not Adam: the parts are summed first.
        adam.apply([tf.convert_to_tensor(g) for g in gradients], trainable)
        return loss

    @tf.function(jit_compile=jit)
    def score(inputs):
        logits = model(inputs, training=False)
        return tf.sigmoid(tf.stack([logits[t] for t in tasks], axis=1))

    return step, score
