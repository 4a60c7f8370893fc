"""Random sample groups with the times of their actions, for the tests of session features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from intent.schema import DAY_MS, PAPER, Schema
from tests.intent.groups import random_groups

AT = 20_000 * DAY_MS + 5_000_000


def few_names(length: int = 24, names: int = 12) -> Schema:
    """The paper's schema with short windows and few names, so that names come again."""

    def cut(features):
        return tuple(replace(f, dictionary=names) if f.unknown else f for f in features)

    views = tuple(replace(v, features=cut(v.features)) for v in PAPER.views)
    return replace(PAPER, views=views, length=length)


def random_inputs(
    schema: Schema, groups: int = 40, seed: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs as a feed with action times gives them, and the cuts.

    Windows are empty, short and full; ages reach from 0 ms to two days, some at the borders of the
    recency windows, some equal.
    """
    rng = np.random.default_rng(seed)
    counts = [
        {v.name: int(rng.choice([0, 1, 2, 9, schema.length])) for v in schema.views}
        for _ in range(groups)
    ]
    inputs = random_groups(schema, counts, seed)
    at = AT + rng.integers(0, 9 * DAY_MS, groups)
    for view in schema.views:
        real = inputs[view.name][:, :, view.marker_column] > 0
        ago = np.exp(rng.uniform(0, np.log(2 * DAY_MS), real.shape)).astype(np.int64)
        border = rng.choice([0, 60_000, 300_000, 1_800_000, 3_600_000, DAY_MS], real.shape)
        ago = np.where(rng.random(real.shape) < 0.2, border, ago)
        ago = -np.sort(-np.where(real, ago, -1), axis=1)  # oldest first, padding behind
        inputs[f"{view.name}_times"] = np.where(real, at[:, None] - ago, 0)
    return inputs, at
