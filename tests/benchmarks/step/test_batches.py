"""Batches survive a file, and full windows are full."""

import numpy as np
import pytest

from benchmarks.step import batches as files
from benchmarks.step.batches import LABELS
from benchmarks.step.data import cut
from tests.intent.groups import small_schema

SCHEMA = small_schema(length=20)


def made(count=2, rows=7):
    return list(files.random_batches(SCHEMA, count, rows, typical=5))


def test_there_and_back(tmp_path):
    batches = made(12)
    found = files.load(files.save(tmp_path / "b.npz", batches))
    assert len(found) == 12
    for a, b in zip(batches, found, strict=True):
        assert list(a) == list(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
            assert a[name].dtype == b[name].dtype


def test_full_windows_repeat_their_own_actions():
    batch = made(1)[0]
    batch["tap"][3] = 0  # an empty view takes the next group's actions
    full = files.full([batch], SCHEMA)[0]
    before, after = (files.lengths([b], SCHEMA) for b in (batch, full))
    for view in SCHEMA.views:
        assert (after[view.name] == 20).all()
        n = before[view.name][0]
        np.testing.assert_array_equal(full[view.name][0, :n], batch[view.name][0, :n])
        np.testing.assert_array_equal(full[view.name][0, n], batch[view.name][0, 0])
    np.testing.assert_array_equal(full["tap"][3], full["tap"][4])


def test_no_action_at_all_is_an_error():
    batch = made(1)[0]
    batch["browse"][:] = 0
    with pytest.raises(ValueError, match="no group of a batch has a browse action"):
        files.full([batch], SCHEMA)


def test_regrouped_keeps_the_order():
    batches = made(2, rows=7)
    found = files.regrouped(batches, 4)
    assert [files.size(b) for b in found] == [4, 4, 4]
    joined = np.concatenate([b[LABELS] for b in found])
    np.testing.assert_array_equal(joined, np.concatenate([b[LABELS] for b in batches])[:12])
    with pytest.raises(ValueError, match="fewer than one batch of 99"):
        files.regrouped(batches, 99)


@pytest.mark.parametrize("longest, width", [(0, 16), (3, 16), (16, 16), (17, 20)])
def test_cut_holds_the_longest(longest, width):
    ids = np.zeros((2, 20, 6), np.uint16)
    ids[1, :longest] = 1
    found = cut({"browse": ids})["browse"]
    assert found.shape[1] == width
    assert (found.any(-1).sum(1) == [0, longest]).all()
