"""Batches with ids by Zipf's law."""

from __future__ import annotations

import numpy as np

from benchmarks.reduce.ids import zipf_batch
from tests.intent.groups import small_schema

SCHEMA = small_schema(length=64, largest=300)


def test_windows_are_full_and_ids_are_of_the_dictionary():
    batch = zipf_batch(SCHEMA, 50, seed=0)
    for view in SCHEMA.views:
        ids = batch[view.name]
        assert ids.shape == (50, 64, view.width) and ids.dtype == view.dtype
        assert ids.min() >= 1
        assert (ids.reshape(-1, view.width).max(axis=0) < [f.rows for f in view.features]).all()
    assert set(batch) == set(SCHEMA.sources)


def test_the_first_id_comes_twice_as_often_as_the_second():
    view = max(SCHEMA.views, key=lambda v: max(f.rows for f in v.features))
    column = int(np.argmax([f.rows for f in view.features]))
    counts = np.bincount(zipf_batch(SCHEMA, 300, seed=1)[view.name][..., column].ravel())
    assert 1.8 < counts[1] / counts[2] < 2.2
    assert 8 < counts[1] / counts[10] < 12
