"""The data of the benchmark of scaling: groups in memory, of full windows, the same everywhere.

Ids follow Zipf's law (id k has weight 1/k). Labels depend on the profile, so that there is
something to learn; nothing else does.
"""

from __future__ import annotations

import numpy as np

from intent.samples.manifest import Build, Manifest, Shard
from intent.schema import PAPER, Feature, Schema, View

LABELS = "labels"
Groups = dict[str, np.ndarray]  # source -> ids, and "labels" uint8 [G, T]

SMALL = Schema(
    views=(View("tap", (Feature("event", 2, 2), Feature("item", 40, 8)), "event"),),
    history=PAPER.history,
    profile=PAPER.profile,
    tasks=PAPER.tasks,
    length=32,
)  # for --quick, which must not wait for the large model to be compiled


def make_groups(schema: Schema, count: int, seed: int = 0) -> Groups:
    """`count` groups whose windows are full: all positions of all views are real."""
    rng = np.random.default_rng(seed)
    groups: Groups = {}
    for view in schema.views:
        shape = (count, schema.length)
        ids = [_zipf(f, shape, rng) for f in view.features]
        groups[view.name] = np.stack(ids, axis=-1).astype(view.dtype)
    for source in ("history", "profile"):
        features = getattr(schema, source)
        if features:
            drawn = [rng.integers(1, f.rows, count) for f in features]
            groups[source] = np.stack(drawn, axis=1).astype(np.uint8)
    place = groups["profile"][:, :1] / max(f.rows for f in schema.profile)  # 0 to 1, [G, 1]
    chance = np.concatenate([0.1 + 0.6 * place] * len(schema.tasks), axis=1)
    groups[LABELS] = (rng.random(chance.shape) < chance).astype(np.uint8)
    return groups


def pick(groups: Groups, rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The inputs and labels of some groups, by their numbers, over and over beyond the last."""
    rows = rows % len(groups[LABELS])
    return {n: a[rows] for n, a in groups.items() if n != LABELS}, groups[LABELS][rows]


def manifest(schema: Schema) -> Manifest:
    """A manifest that stands for such data, which a run folder asks for."""
    positives = {task.name: 0 for task in schema.tasks}
    shard = Shard("a.parquet", "2026-01-01", 1, 1, [1], [1], positives, 1, "0" * 64, "0" * 32)
    return Manifest(
        layout="tracks",
        schema=schema,
        settings={},
        shards=[shard],
        builds=[Build(["2026-01-01"], (0, 1), {}, {}, {}, {}, {}, [], "memory", "0")],
        dictionary_hash="0",
    )


def _zipf(feature: Feature, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    weights = 1 / np.arange(1, feature.rows)
    return 1 + rng.choice(feature.rows - 1, shape, p=weights / weights.sum())
