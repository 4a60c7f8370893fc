"""Small schemas and random sample groups for the tests of the model and of the device bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from intent.schema import PAPER, Schema


def small_schema(length: int = 8, largest: int = 40) -> Schema:
    """The paper's schema with a short window and dictionaries of at most `largest` ids."""

    def cut(features):
        return tuple(replace(f, dictionary=min(f.dictionary, largest)) for f in features)

    return replace(
        PAPER,
        length=length,
        views=tuple(replace(v, features=cut(v.features)) for v in PAPER.views),
        history=cut(PAPER.history),
        profile=cut(PAPER.profile),
    )


def random_groups(
    schema: Schema, counts: Sequence[Mapping[str, int] | int], seed: int = 0
) -> dict[str, np.ndarray]:
    """One group per entry of `counts`: how many real actions, in all views or per view.

    Real actions have ids from 0 (does not apply) to the largest; the marker is never 0.
    """
    rng = np.random.default_rng(seed)
    inputs = {}
    for view in schema.views:
        ids = np.zeros((len(counts), schema.length, view.width), view.dtype)
        for row, count in enumerate(counts):
            n = count if isinstance(count, int) else count.get(view.name, 0)
            for column, feature in enumerate(view.features):
                low = 1 if feature.name == view.marker else 0
                ids[row, :n, column] = rng.integers(low, feature.rows, n)
        inputs[view.name] = ids
    for source in ("history", "profile"):
        features = getattr(schema, source)
        if features:
            inputs[source] = np.stack(
                [rng.integers(0, f.rows, len(counts)) for f in features], axis=1
            ).astype(np.uint8)
    return inputs


def lengths(schema: Schema, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Real actions per view [B], in the order of the schema."""
    return [(inputs[v.name][..., v.marker_column] > 0).sum(1) for v in schema.views]


def random_fusion(schema: Schema, inputs: Mapping[str, np.ndarray], seed: int = 0) -> np.ndarray:
    """The "fusion" input for `inputs` under random, sorted timestamps."""
    from intent.samples.fusion import fusion_order

    rng = np.random.default_rng(seed)
    batch = len(next(iter(inputs.values())))
    times = [np.sort(rng.integers(0, 1000, (batch, schema.length)), axis=1) for _ in schema.views]
    return fusion_order(times, lengths(schema, inputs), schema.length)
