"""Does a converted model score as the trained one does? Asked on random groups before it ships.

Letters: B groups, N positions of a window, F features of an action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intent.edge.runtime import Scorer
from intent.evaluation.recalibration import Recalibration
from intent.samples.fusion import fusion_order
from intent.samples.undersampling import recalibrate
from intent.schema import Schema, narrowest

if TYPE_CHECKING:
    import keras

CHECKED_GROUPS = 16


def random_groups(schema: Schema, groups: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Source -> ids, "fusion" among them, for windows of random lengths, empty and full included.

    Every id is drawn evenly from its dictionary, 0 ("does not apply") included, but the marker's.
    """
    rng = np.random.default_rng(seed)
    inputs, times, counts = {}, [], []
    for view in schema.views:
        count = rng.integers(0, schema.length + 1, groups)
        count[:2] = 0, schema.length
        rng.shuffle(count[2:])
        real = np.arange(schema.length) < count[:, None]
        columns = [
            rng.integers(int(f.name == view.marker), f.rows, real.shape) * real
            for f in view.features
        ]
        inputs[view.name] = np.stack(columns, axis=-1).astype(view.dtype)
        times.append(np.sort(rng.integers(0, 10**6, real.shape), axis=1))
        counts.append(count)
    for source in ("history", "profile"):
        features = getattr(schema, source)
        columns = [rng.integers(0, f.rows, groups) for f in features]
        if columns:
            inputs[source] = np.stack(columns, axis=-1).astype(narrowest(features))
    return inputs | {"fusion": fusion_order(times, counts, schema.length)} if times else inputs


def largest_difference(
    model: keras.Model,
    content: bytes,
    schema: Schema,
    rate: float,
    recalibration: Recalibration | None = None,
) -> float:
    """Largest absolute difference of a probability between `model`, its scores put right for the
    share `rate` of negatives that it learnt from and by `recalibration`, and the LiteRT `content`;
    NaN where either gives NaN."""
    groups = random_groups(schema, CHECKED_GROUPS)
    inputs = {name: groups[name] for name in model.input}
    scores = Scorer(content).predict(inputs)
    expected = {
        task: 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
        for task, logits in model(inputs, training=False).items()
    }
    expected = recalibrate(expected, schema.tasks, rate)
    if recalibration is not None:
        expected = recalibration.apply(expected)
    # np.max, unlike max, is NaN where anything is NaN.
    return float(np.max([np.abs(scores[task] - p) for task, p in expected.items()]))
