"""What the attention between two views did to a group's score, and which actions it links.

Letters: B groups, N positions of a window, D hidden units of one GRU direction, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from intent.evaluation.attention import Attention, inter_name

if TYPE_CHECKING:
    import keras

LINKS = 3  # the strongest of a view's attention to another


def pair_effects(
    model: keras.Model,
    one: Mapping[str, np.ndarray],
    attention: Attention,
    score: Callable[[keras.Model, list[np.ndarray]], np.ndarray],
) -> np.ndarray:
    """[pairs, T]: the score minus what it is when a pair of views says nothing, its r being 0.

    r of equation (4) is 0 where one of the two views is empty, so the model knows such groups.

    Args:
        one: the model's inputs for the group, a batch of one.
        score: [B, T] of a model for its inputs in their order.
    """
    if not attention.inter:
        return np.zeros((0, len(model.output)))
    import keras

    outputs = {n: model.get_layer(n).output for n in map(inter_name, attention.inter)}
    before = keras.Model(model.input, outputs)
    after = keras.Model([*model.input.values(), *outputs.values()], model.output)
    given = [one[name] for name in model.input]
    r = before(dict(zip(model.input, given, strict=True)), training=False)
    batch = 1 + len(outputs)
    values = [np.repeat(ids, batch, axis=0) for ids in given]
    for number, name in enumerate(outputs, start=1):
        r_BND = np.repeat(keras.ops.convert_to_numpy(r[name]), batch, axis=0)
        r_BND[number] = 0
        values.append(r_BND)
    whole, *without = score(after, values)
    return whole - np.stack(without)


def links(
    pair: tuple[str, str], lengths: Mapping[str, int], attention: Attention, most: int = LINKS
) -> list[dict]:
    """The strongest weights of both softmaxes of equation (4), among the rows that the model reads.

    Args:
        lengths: view -> the group's real actions.
        most: how many of each softmax.

    Returns [{"from": {"view", "index"}, "to": {"view", "index"}, "weight", "even"}]: an action, one
    of the other view that it attends to, the weight, and what that were if all had the same.
    """
    found = []
    for source, target, weights in read_rows(pair, lengths, attention):
        for flat in np.argsort(-weights, axis=None, kind="stable")[:most].tolist():
            i, j = divmod(flat, weights.shape[1])
            ends = {"from": {"view": source, "index": i}, "to": {"view": target, "index": j}}
            found.append(ends | {"weight": float(weights[i, j]), "even": 1 / weights.shape[1]})
    return found


def read_rows(
    pair: tuple[str, str], lengths: Mapping[str, int], attention: Attention
) -> list[tuple[str, str, np.ndarray]]:
    """(view that attends, view that it attends to, weights [rows that the model reads, actions]).

    Position i asks in both factors of r, so only as many rows are read as the shorter view has
    actions.
    """
    v, u = pair
    of_v, of_u = (weights[0] for weights in attention.inter[pair])
    rows = min(lengths[v], lengths[u])
    return [(v, u, of_u[:rows, : lengths[u]]), (u, v, of_v[:rows, : lengths[v]])]
