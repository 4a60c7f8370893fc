"""Both levels of a trained model's attention, computed by its own layers.

Letters: B groups, N positions of a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Attention:
    """What a model attends to, float32; empty where it has no such layer.

    Attributes:
        intra: view -> a [B, N] of equation (2): each row sums to 1 over its real actions, and is 0
            at padding. With early fusion the one key is "fusion": N positions of the merged window.
        inter: (v, u) -> (of_v, of_u) of equation (4), [B, N, N] each. Row i of `of_u` says how
            action i of v attends to the actions of u, row i of `of_v` how action i of u attends to
            those of v. The model reads row i only where both views have an action i.
    """

    intra: dict[str, np.ndarray]
    inter: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]


def attention_of(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> Attention:
    """The attention of some groups.

    Args:
        model: of `intent.models.dipn.build`, trained or loaded; any of its variants.
        inputs: what the model takes; more is passed over. Windows may be short, see `build`.
    """
    import keras

    from intent.models.dipn import PAIRS
    from intent.models.inter_view import InterViewAttention
    from intent.models.intra_view import IntraViewAttention

    intra = {
        layer.name.removesuffix("_intra_view"): layer
        for layer in model.layers
        if isinstance(layer, IntraViewAttention)
    }
    inter = {layer.name: layer for layer in model.layers if isinstance(layer, InterViewAttention)}
    inter = {pair: inter[name] for pair in PAIRS if (name := inter_name(pair)) in inter}
    layers = [*intra.values(), *inter.values()]
    if not layers:
        return Attention({}, {})
    before = keras.Model(model.input, {layer.name: layer.input for layer in layers})
    reached = before({name: inputs[name] for name in model.input}, training=False)
    return Attention(
        {view: _float32(layer.scores(*reached[layer.name])) for view, layer in intra.items()},
        {
            pair: tuple(map(_float32, layer.attention(*reached[layer.name])))
            for pair, layer in inter.items()
        },
    )


def inter_name(pair: tuple[str, str]) -> str:
    """Name of the layer in which two views attend to each other."""
    return f"{pair[0]}_{pair[1]}_inter_view"


def _float32(tensor) -> np.ndarray:
    from keras import ops

    return ops.convert_to_numpy(ops.cast(tensor, "float32"))
