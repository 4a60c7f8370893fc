"""Candidates for the first layer after flattening: from the r's and the rest of z to logits.

Letters: B batch, N positions of a window, D hidden units of one GRU direction, K tasks.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from intent.config import ModelConfig
from intent.models import dipn
from intent.models.flat import FlatWindow
from intent.models.tasks import TaskBranch
from intent.schema import Schema

UNITS = 64  # of a branch
Windows = dict[str, keras.KerasTensor]  # r [B, N, 2D] by pair


def wide(windows: Windows, length: int) -> list:
    """The paper, read literally: every number of every r enters every unit."""
    return [FlatWindow(length, name=f"{n}_flat")(r) for n, r in windows.items()]


def pointwise(width: int) -> Callable:
    """Each position of an r becomes `width` numbers, by one matrix for all positions."""

    def flattened(windows: Windows, length: int) -> list:
        narrow = {
            n: keras.layers.Dense(width, use_bias=False, name=f"{n}_narrow")(r)
            for n, r in windows.items()
        }
        return wide(narrow, length)

    return flattened


def low_rank(rank: int) -> Callable:
    """All r's flattened become `rank` numbers, which both tasks share."""

    def flattened(windows: Windows, length: int) -> list:
        flat = keras.layers.Concatenate(name="flat")(wide(windows, length))
        return [keras.layers.Dense(rank, use_bias=False, name="low_rank")(flat)]

    return flattened


def separable(moments: int, width: int) -> Callable:
    """[moments, N] r [2D, width]: one matrix over time and one over the numbers of a position."""

    def flattened(windows: Windows, length: int) -> list:
        parts = []
        for name, flat in zip(windows, pointwise(width)(windows, length), strict=True):
            by_width = keras.layers.Permute((2, 1))(keras.layers.Reshape((length, width))(flat))
            over_time = keras.layers.Dense(moments, use_bias=False, name=f"{name}_moments")
            parts.append(keras.layers.Flatten()(over_time(by_width)))
        return parts

    return flattened


def without(windows: Windows, length: int) -> list:
    """Control: the branches see no r at all."""
    return []


# What each form does with the r's, and the units of its branches.
FORMS: dict[str, tuple[Callable, int]] = {
    "wide": (wide, UNITS),
    "narrow_6": (wide, 6),
    "low_rank_8": (low_rank(8), UNITS),
    "pointwise_4": (pointwise(4), UNITS),
    "separable_16x8": (separable(16, 8), UNITS),
    "without": (without, UNITS),
}


def model(schema: Schema, form: str, attention_scale: str) -> keras.Model:
    """DIPN with one of `FORMS` in place of its own head."""
    whole = dipn.build(schema, wide_config(attention_scale))
    windows = {n: whole.get_layer(f"{n}_flat").input for n in pairs()}
    rest = whole.get_layer("features").input[len(windows) :]
    return keras.Model(whole.input, logits(windows, rest, schema, form), name="dipn")


def head(schema: Schema, form: str, hidden: int) -> keras.Model:
    """The head alone: from the r's and the rest of z."""
    windows = {n: keras.Input((schema.length, 2 * hidden), name=n) for n in pairs()}
    rest = keras.Input((2 * 32 + 6 * hidden,), name="rest")
    outputs = logits(windows, [rest], schema, form)
    return keras.Model({**windows, "rest": rest}, outputs, name="head")


def logits(windows: Windows, rest: list, schema: Schema, form: str) -> dict:
    """Task -> logits [B]."""
    flattened, units = FORMS[form]
    parts = [*flattened(windows, schema.length), *rest]
    z = keras.layers.Concatenate(name="z")(parts) if len(parts) > 1 else parts[0]
    return {task.name: TaskBranch([units], name=task.name)(z) for task in schema.tasks}


def wide_config(attention_scale: str) -> ModelConfig:
    """The model whose trunk all forms share."""
    return ModelConfig(attention_scale=attention_scale, position_width=None)


def pairs() -> list[str]:
    """Names of the r's, in order."""
    return [f"{a}_{b}" for a, b in dipn.PAIRS]


def signal(model: keras.Model, inputs: dict) -> dict[str, float]:
    """How large the numbers are that attention passes on, over the pairs and real positions.

    "v_rms", "r_rms": root mean square of v (3) and r (4); "score_spread": standard deviation over
    the real keys of the scores in (4), whose softmax is even where it is 0.
    """
    layers = [model.get_layer(f"{name}_inter_view") for name in pairs()]
    outputs = keras.Model(model.input, [[*layer.input, layer.output] for layer in layers])(inputs)
    squares = {"v_rms": [], "r_rms": [], "score_spread": []}
    for arrays in outputs:
        v, v_real, u, u_real, r = map(ops.convert_to_numpy, arrays)
        both = v_real & u_real
        squares["v_rms"].append((v[v_real] ** 2).mean())
        squares["r_rms"].append((r[both] ** 2).mean())
        scores = np.einsum("bic,bjc->bij", v, u) / v.shape[-1] ** 0.5
        spreads = [
            scores[b][both[b]][:, u_real[b]].var(axis=1).mean()
            for b in np.flatnonzero(both.any(axis=1))
        ]
        squares["score_spread"].append(np.mean(spreads))
    return {name: float(np.mean(values) ** 0.5) for name, values in squares.items()}
