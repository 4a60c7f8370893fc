"""Batches whose ids follow Zipf's law, as those of real shops do."""

from __future__ import annotations

import numpy as np

from intent.schema import Feature, Schema

EXPONENT = 1.0


def zipf_batch(schema: Schema, rows: int, seed: int) -> dict[str, np.ndarray]:
    """Full windows: all positions of all views are real, and id k of a feature has weight 1/k.

    History and profile are evenly drawn.
    """
    rng = np.random.default_rng(seed)
    shape = (rows, schema.length)
    batch = {
        view.name: np.stack([_drawn(f, shape, rng) for f in view.features], axis=-1).astype(
            view.dtype
        )
        for view in schema.views
    }
    for source in ("history", "profile"):
        features = getattr(schema, source)
        if features:
            ids = [rng.integers(1, f.rows, rows) for f in features]
            batch[source] = np.stack(ids, axis=1).astype(np.uint8)
    return batch


def _drawn(feature: Feature, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    weights = 1 / np.arange(1, feature.rows) ** EXPONENT
    return 1 + rng.choice(feature.rows - 1, shape, p=weights / weights.sum())
