"""The order within a row group: a user-day's groups far apart, negatives drawn by number."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from intent.samples.spread import draw, kept_negatives, spread


def gaps(rows: np.ndarray) -> np.ndarray:
    """Distances between neighbours of one row."""
    return np.concatenate([np.diff(np.flatnonzero(rows == r)) for r in np.unique(rows)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 9))
def test_spread_is_a_permutation_that_depends_on_nothing_else(cuts, seed):
    rows = np.repeat(np.arange(len(cuts)), cuts)
    order = spread(rows, seed, 2, 7)
    assert sorted(order.tolist()) == list(range(len(rows)))
    assert np.array_equal(order, spread(rows, seed, 2, 7))


def test_groups_of_a_row_are_far_apart():
    rows = np.repeat(np.arange(136), 30)
    near = np.mean(gaps(rows[spread(rows, 0, 0, 0)]) < 32)
    by_chance = np.mean(gaps(np.random.default_rng(0).permutation(rows)) < 32)
    assert near < 0.04 < 0.18 < by_chance
    seen = {tuple(spread(rows, *key)[:50]) for key in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))}
    assert len(seen) == 4
    first = rows[spread(rows, 0, 0, 0)]
    assert len({tuple(first[i : i + 136]) for i in range(0, 4080, 136)}) == 30  # never in one order


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.floats(0.01, 1), st.integers(0, 3))
def test_negatives_are_kept_by_number(negatives, rate, epoch):
    kept = kept_negatives(np.array(negatives), rate, 5, epoch)
    assert (kept >= np.floor(rate * np.array(negatives)) - 1e-9).all() and (kept <= negatives).all()
    assert abs(kept.sum() - rate * sum(negatives)) <= 1
    if rate == 1:
        assert kept.tolist() == negatives


def test_row_groups_of_one_negative_have_it_now_and_then():
    kept = [kept_negatives(np.ones(20, np.int64), 0.1, 5, epoch) for epoch in range(200)]
    share = np.mean(kept, axis=0)
    assert share.min() > 0.03 and share.max() < 0.2


def test_a_draw_has_all_positives_and_other_negatives_each_epoch():
    negative = np.arange(100) % 5 > 0
    drawn = [draw(negative, 36, 1, epoch, 3) for epoch in range(40)]
    for found in drawn:
        assert len(found) == len(set(found)) == 36 and (np.diff(found) > 0).all()
        assert set(np.flatnonzero(~negative)) <= set(found)
    often = np.bincount(np.concatenate(drawn), minlength=100)[negative]
    assert 0 < often.min() and often.max() < 20 and abs(often.mean() - 8) < 0.1
    assert np.array_equal(draw(negative, 100, 1, 0, 3), np.arange(100))
