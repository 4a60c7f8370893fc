"""The rival of a learning test: gradient boosting over plain aggregates of sample groups.

It sees exactly the ids that DIPN sees, the same windows, history and profile, and loses only what
counting loses: which action came after which, and which actions of two views belong together.

Letters: n groups, b groups of a batch, N positions of a window, F features, K columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from intent.samples.feed import Batch
from intent.schema import Schema, View

RECENT = 16  # last actions that are counted once more, by themselves
COUNTED = 30  # levels of a feature with more of them are not counted, only averaged
FEWEST = 0.05  # of the groups must have an id in their windows, or it is not a column
SETTINGS = {
    "objective": "binary", "learning_rate": 0.05, "max_bin": 63, "num_leaves": 15,
    "min_data_in_leaf": 100, "feature_fraction": 0.25, "bagging_fraction": 0.7, "bagging_freq": 1,
    "lambda_l2": 20.0, "verbose": -1, "num_threads": 1, "seed": 0, "deterministic": True,
    "force_col_wise": True,
}  # fmt: skip


@dataclass(frozen=True)
class Groups:
    """Aggregates [n, K] of n groups, their labels [n, tasks], users [n] and times [n]."""

    columns: np.ndarray
    labels: np.ndarray
    users: np.ndarray
    times: np.ndarray


def read(batches: Iterable[Batch], schema: Schema) -> Groups:
    """The aggregates of every group of some batches; rows that only fill a batch are left out."""
    parts = []
    for batch in batches:
        real = batch.weights > 0
        columns = aggregates({n: ids[real] for n, ids in batch.inputs.items()}, schema)
        parts.append((columns, batch.labels[real], batch.users[real], batch.times[real]))
    return Groups(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def aggregates(inputs: dict[str, np.ndarray], schema: Schema) -> np.ndarray:
    """[b, K] uint8 of b groups: `view_aggregates`, and the ids of history and profile."""
    found = [view_aggregates(inputs[view.name], view) for view in schema.views]
    found += [inputs[name] for name in ("history", "profile") if name in inputs]
    return np.concatenate([part.astype(np.uint8) for part in found], axis=1)


def view_aggregates(ids: np.ndarray, view: View) -> np.ndarray:
    """[b, K] of one view's windows [b, N, F], N <= 255.

    How many actions; how often each id occurs in the window and in the last 16 actions; the mean of
    ids that are levels; the last action's ids; for views with ages, the age of the oldest action
    and of the newest with each marker (255 where there is none).
    """
    real = ids[:, :, view.marker_column] > 0
    n_actions = real.sum(axis=1)
    newest = real & (np.arange(ids.shape[1]) >= n_actions[:, None] - RECENT)
    last = ids[np.arange(len(ids)), np.maximum(n_actions - 1, 0)]
    found = [n_actions[:, None], np.minimum(last, 255)]
    for place, feature in enumerate(view.features):
        column = ids[:, :, place]
        if feature.unknown and feature.rows < 600 or feature.rows <= COUNTED:
            found += [counts(column, of, feature.rows) for of in (real, newest)]
        if not feature.unknown:
            found.append(_mean(column, real & (column > 0))[:, None])
    if any(feature.name == "age" for feature in view.features):
        age = ids[:, :, view.column("age")]
        marks = ids[:, :, view.marker_column]
        found.append(np.where(real, age, 0).max(axis=1)[:, None])
        for mark in range(1, view.features[view.marker_column].rows):
            found.append(np.where(marks == mark, age, 255).min(axis=1)[:, None])
    return np.concatenate(found, axis=1)


def counts(ids: np.ndarray, of: np.ndarray, rows: int) -> np.ndarray:
    """[b, rows] how often each id stands in the windows [b, N], where `of` [b, N] is true."""
    flat = ids + np.arange(len(ids))[:, None] * rows
    return np.bincount(flat[of], minlength=len(ids) * rows).reshape(len(ids), rows)


def _mean(ids: np.ndarray, of: np.ndarray) -> np.ndarray:
    """[b] mean id, in fifths of a level up to 51 and coarser above, 0 where there is none."""
    total = np.where(of, ids, 0).sum(axis=1, dtype=np.int64)
    return np.minimum(5 * total / np.maximum(of.sum(axis=1), 1), 255)


def boosted(train: Groups, held_out: Groups, task: int, rounds: int) -> np.ndarray:
    """Scores [m] of `held_out` by boosting fitted to column `task` of the labels of `train`."""
    import lightgbm as lgb

    kept = (train.columns > 0).mean(axis=0) >= FEWEST
    data = lgb.Dataset(train.columns[:, kept], train.labels[:, task])
    return lgb.train(SETTINGS, data, num_boost_round=rounds).predict(held_out.columns[:, kept])
