"""Batches of sample groups in a file, the same for every variant and every environment.

Letters: B groups of a batch, N positions of a window, F features of an action, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from intent.schema import Schema

LABELS = "labels"
Batch = dict[str, np.ndarray]  # source -> ids, as the model takes them, and "labels" uint8 [B, T]


def save(path: Path, batches: Sequence[Batch]) -> str:
    """Writes `batches` to `path`; returns it as text, for a child's options."""
    np.savez(path, **{f"{i}.{name}": a for i, b in enumerate(batches) for name, a in b.items()})
    return str(path)


def load(path: str | Path) -> list[Batch]:
    """The batches in a file of `save`."""
    found: dict[int, Batch] = {}
    with np.load(path) as file:
        for key in file.files:
            number, _, name = key.partition(".")
            found.setdefault(int(number), {})[name] = file[key]
    return [found[i] for i in range(len(found))]


def size(batch: Batch) -> int:
    """B."""
    return len(batch[LABELS])


def regrouped(batches: Sequence[Batch], rows: int) -> list[Batch]:
    """The same groups in batches of `rows`; the rest that fills none is left out.

    All windows must have the same number of positions.
    """
    whole = {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
    count = len(whole[LABELS]) // rows
    if not count:
        raise ValueError(f"{len(whole[LABELS])} groups are fewer than one batch of {rows}")
    return [{n: a[i * rows : (i + 1) * rows] for n, a in whole.items()} for i in range(count)]


def lengths(batches: Sequence[Batch], schema: Schema) -> dict[str, np.ndarray]:
    """Real actions of every group, by view."""
    return {
        v.name: np.concatenate([(b[v.name][..., v.marker_column] > 0).sum(1) for b in batches])
        for v in schema.views
        if v.name in batches[0]
    }


def full(batches: Sequence[Batch], schema: Schema) -> list[Batch]:
    """The same groups with all positions real in all views: a window's actions, over and over.

    A group without any action in a view takes those of the next one that has some.
    """
    out = []
    for batch in batches:
        made = dict(batch)
        for view in schema.views:
            ids = batch[view.name]
            real = (ids[..., view.marker_column] > 0).sum(1)
            some = np.flatnonzero(real)
            if not len(some):
                raise ValueError(f"no group of a batch has a {view.name} action")
            source = some[np.searchsorted(some, np.arange(len(ids))) % len(some)]  # [B]
            place = np.arange(schema.length)[None] % real[source][:, None]  # [B, N]
            made[view.name] = ids[source[:, None], place]
        out.append(made)
    return out


def random_batches(
    schema: Schema, count: int, rows: int, seed: int = 0, typical: float = 64, spread: float = 1
) -> Iterator[Batch]:
    """Batches of ids drawn by lot, to try the benchmark: they cost what real ones cost.

    Lengths are log-normal: `typical` is their median, `spread` the deviation of the logarithm.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        batch: Batch = {}
        for view in schema.views:
            drawn = np.exp(rng.normal(np.log(typical), spread, rows)).astype(int)
            real = np.arange(schema.length)[None] < np.minimum(drawn, schema.length)[:, None]
            ids = np.stack(
                [rng.integers(int(f.name == view.marker), f.rows, real.shape)
                 for f in view.features], axis=-1,
            )  # fmt: skip
            batch[view.name] = np.where(real[..., None], ids, 0).astype(view.dtype)
        for source in ("history", "profile"):
            features = getattr(schema, source)
            if features:
                ids = np.stack([rng.integers(0, f.rows, rows) for f in features], axis=1)
                batch[source] = ids.astype(np.uint8)
        batch[LABELS] = (rng.random((rows, len(schema.tasks))) < 0.1).astype(np.uint8)
        yield batch
