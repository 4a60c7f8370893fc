"""DIPN small enough for tests, its variants in Tables 4 to 6, and weights handed to a variant.

A variant is compared with the whole model under the same weights, by name, so that what it lacks is
all that differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from intent.config import ModelConfig
from intent.models import dipn
from intent.schema import Schema

TABLE_4 = {  # row of the paper -> settings
    "dipn": {},
    "early_fusion": {"early_fusion": True},
    "no_attention": {"attention": False},
    "no_inter_view": {"inter_view": False},
    "no_intra_view": {"intra_view": False},
    "no_multi_task": {"tasks": ["realtime"]},
}
SOURCES = ("swipe", "tap", "browse", "history", "profile")


def make(schema: Schema, seed: int = 0, scale: float = 0.5, **settings) -> keras.Model:
    """A small model whose weights are large enough for every part to show in the logits.

    Positions are laid flat as they are, so that the branches' weights can be told apart by source.
    """
    sizes = {
        "hidden": 4, "action_width": 5, "context_width": 3, "branch_units": [6],
        "position_width": None,
    }  # fmt: skip
    model = dipn.build(schema, ModelConfig(**{**sizes, **settings}))
    rng = np.random.default_rng(seed)
    for w in model.weights:
        w.assign(rng.normal(0, scale, w.shape))
    return model


def logits(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """[B, tasks] from exactly the inputs that the model takes; others are passed over."""
    found = model({name: inputs[name] for name in model.input}, training=False)
    return np.stack([np.asarray(x) for x in found.values()], axis=1)


def by_path(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """Path of each weight -> its shape."""
    return {w.path: tuple(w.shape) for w in model.weights}


def read_by_branches(model: keras.Model) -> dict[str, slice]:
    """What the branches read: "layer/output" that made it -> its columns."""
    z = model.get_layer(next(iter(model.output))).input
    layer = z._keras_history.operation
    parts = layer.input if layer.name == "features" else [z]
    found, start = {}, 0
    for part in parts:
        made = part._keras_history
        found[f"{made.operation.name}/{made.tensor_index}"] = slice(start, start + part.shape[-1])
        start += part.shape[-1]
    return found


def hand_over(whole: keras.Model, part: keras.Model) -> None:
    """Give `part` the weights of `whole`; the first layer of a branch takes the rows it has use of.

    KeyError where `part` has a weight, or its branches read something, that `whole` lacks.
    """
    theirs, rows = {w.path: w for w in whole.weights}, read_by_branches(whole)
    for w in part.weights:
        value = theirs[w.path].numpy()
        if value.shape != tuple(w.shape):
            value = np.concatenate([value[rows[name]] for name in read_by_branches(part)])
        w.assign(value)


def outputs_of(model: keras.Model, layers: Sequence[str], inputs) -> list[np.ndarray]:
    """What the named layers put out; of several outputs the first."""
    tensors = [model.get_layer(name).output for name in layers]
    tensors = [t[0] if isinstance(t, list | tuple) else t for t in tensors]
    inner = keras.Model(model.input, dict(zip(layers, tensors, strict=True)))
    found = inner({name: inputs[name] for name in model.input})
    return [np.asarray(found[name]) for name in layers]
