"""The rival: DIPN as a careful Keras user writes it, with what Keras and TensorFlow offer.

Keras `Embedding`, `Dense`, `GRU`, matmul attention, the tape, Keras's Adam; TensorFlow alone. The
equations and the weights are those of `intent.models`, nothing of its code is used.

Letters: B batch, N positions of a window, D hidden units of one GRU direction.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from intent.schema import Schema

PAIRS = (("swipe", "browse"), ("swipe", "tap"), ("tap", "browse"))
FORMS = ("two", "bidirectional")  # of the Bi-GRU: two GRU layers, or Keras's wrapper around one


class Embedded(layers.Layer):
    """Ids [..., F] -> [..., units]: an Embedding per feature (id 0 gives 0), joined, one Dense."""

    def __init__(self, features, units: int, name: str) -> None:
        super().__init__(name=name)
        self.tables = [layers.Embedding(f.rows, f.embedding, name=f.name) for f in features]
        self.fc = layers.Dense(units, activation="relu", name="fc")

    def call(self, ids):
        vectors = []
        for i, table in enumerate(self.tables):
            one = ids[..., i]
            vectors.append(table(one) * tf.cast(one > 0, tf.float32)[..., None])
        return self.fc(tf.concat(vectors, axis=-1))


class View(layers.Layer):
    """One window: embedding, Bi-GRU, intra-view attention (equations 1 to 3)."""

    def __init__(self, view, sizes: Mapping, form: str) -> None:
        super().__init__(name=view.name)
        self.marker, self.form = view.marker_column, form
        self.by_length = sizes["attention_scale"] == "length"
        self.embedded = Embedded(view.features, sizes["action_width"], "embedded")
        hidden = sizes["hidden"]
        options = {"return_sequences": True, "return_state": True}
        forward = layers.GRU(hidden, name="forward", **options)
        if form == "bidirectional":
            self.gru = layers.Bidirectional(forward, name="gru")
        else:
            self.forward = forward
            self.backward = layers.GRU(hidden, go_backwards=True, name="backward", **options)
        self.w_a = layers.Dense(2 * hidden, use_bias=False, name="w_a")  # [D, 2D]: W_a transposed

    def call(self, ids):
        """Ids [B, N, F] -> (v [B, N, 2D], real [B, N], last forward and backward state [B, D])."""
        real = ids[..., self.marker] > 0
        x = self.embedded(ids)
        if self.form == "bidirectional":
            h, last, first = self.gru(x, mask=real)
        else:
            ahead, last = self.forward(x, mask=real)
            back, first = self.backward(x, mask=real)
            h = tf.concat([ahead, tf.reverse(back, [1])], axis=-1)
        scores = tf.linalg.matvec(h, self.w_a(last))  # [B, N]
        a = tf.nn.softmax(scores + hidden(real))  # 0 at padding
        if self.by_length:
            a *= tf.reduce_sum(tf.cast(real, tf.float32), axis=1, keepdims=True)
        return h * a[..., None], real, last, first


def hidden(real):
    """What is added to scores so that padding gets no attention: 0, or -1e9."""
    return (1 - tf.cast(real, tf.float32)) * -1e9


def inter_view(v, v_real, u, u_real):
    """Equation (4)."""
    scores = tf.matmul(v, u, transpose_b=True) / tf.sqrt(tf.cast(tf.shape(v)[-1], tf.float32))
    of_u = tf.nn.softmax(scores + hidden(u_real)[:, None])
    of_v = tf.nn.softmax(tf.transpose(scores, (0, 2, 1)) + hidden(v_real)[:, None])
    both = tf.cast(v_real & u_real, tf.float32)[..., None]
    return tf.matmul(of_v, v) * tf.matmul(of_u, u) * both


class PlainDIPN(keras.Model):
    """Inputs (source -> ids) -> logits (task -> [B]).

    Args:
        schema: what a group consists of, reduced to the sources that the model takes.
        sizes: the fields of ModelConfig.
        form: one of FORMS.
    """

    def __init__(self, schema: Schema, sizes: Mapping, form: str = FORMS[0]) -> None:
        super().__init__()
        self.encoders = {v.name: View(v, sizes, form) for v in schema.views}
        self.pairs = [p for p in PAIRS if set(p) <= set(self.encoders)]
        kept = sizes["position_width"]
        blocks = ["_".join(p) for p in self.pairs] or list(self.encoders)
        self.narrow = {n: layers.Dense(kept, use_bias=False) for n in blocks} if kept else {}
        self.contexts = {
            source: Embedded(getattr(schema, source), sizes["context_width"], source)
            for source in ("history", "profile")
            if getattr(schema, source)
        }
        self.branches = {
            task.name: keras.Sequential(
                [layers.Dense(n, activation="relu") for n in sizes["branch_units"]]
                + [layers.Dense(1)]
            )
            for task in schema.tasks
        }

    def call(self, inputs):
        seen = {n: encode(tf.cast(inputs[n], tf.int32)) for n, encode in self.encoders.items()}
        windows = [inter_view(*seen[a][:2], *seen[b][:2]) for a, b in self.pairs]
        windows = windows or [v for v, *_ in seen.values()]
        if self.narrow:
            windows = [d(w) for d, w in zip(self.narrow.values(), windows, strict=True)]
        parts = [tf.reshape(w, (-1, w.shape[1] * w.shape[2])) for w in windows]
        parts += [self.contexts[n](tf.cast(inputs[n], tf.int32)) for n in self.contexts]
        parts += [state for *_, last, first in seen.values() for state in (last, first)]
        z = tf.concat(parts, axis=-1)
        return {task: tf.squeeze(branch(z), -1) for task, branch in self.branches.items()}


def copy_weights(model: PlainDIPN, ours: Mapping[str, np.ndarray]) -> None:
    """Sets the built `model` to the weights of ours, by path; ValueError if one is left over."""
    left = set(ours)

    def put(layer, *paths: str) -> None:
        layer.set_weights([ours[path].T if path.endswith("w_a") else ours[path] for path in paths])
        left.difference_update(paths)

    def embedded(layer: Embedded, name: str) -> None:
        for table in layer.tables:
            put(table, f"{name}/tables/{table.name}")
        put(layer.fc, f"{name}/fc/kernel", f"{name}/fc/bias")

    for name, view in model.encoders.items():
        embedded(view.embedded, f"{name}_embedding")
        two = view.form == "two"
        both = (view.forward, view.backward) if two else (
            view.gru.forward_layer, view.gru.backward_layer)  # fmt: skip
        for layer, way in zip(both, ("forward", "backward"), strict=True):
            cell = f"{name}_bigru/{way}/gru_cell"
            put(layer, f"{cell}/kernel", f"{cell}/recurrent_kernel", f"{cell}/bias")
        put(view.w_a, f"{name}_intra_view/w_a")
    for name, layer in model.narrow.items():
        put(layer, f"{name}_narrow/kernel")
    for name, context in model.contexts.items():
        embedded(context, f"{name}_context")
    for task, branch in model.branches.items():
        names = [*(f"fc_{i}" for i in range(len(branch.layers) - 1)), "logit"]
        for layer, name in zip(branch.layers, names, strict=True):
            put(layer, f"{task}/{name}/kernel", f"{task}/{name}/bias")
    if left:
        raise ValueError(f"the plain model has no place for {sorted(left)} of ours")
