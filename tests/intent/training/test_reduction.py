"""The sums of a step over several ranks, which are threads here."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from intent.training.reduction import buckets, reduce_all
from tests.support.thread_ranks import on_ranks

SHAPES = [(3,), (1000, 8), (), (5, 4), (64, 7)]
TABLE = 1
TOUCHED = [[1, 4, 998], [4, 500], []]  # of the table, by rank
RANKS = len(TOUCHED)
UNION = np.array([0, 1, 4, 500, 998])
LARGE = float(2**24 - 1)  # neither float16 nor bfloat16 holds it


def gradients_of(rank: int) -> list[np.ndarray]:
    rng = np.random.default_rng(rank)
    made = [rng.normal(0, 10.0 ** (-3 * i), shape).astype(np.float32)
            for i, shape in enumerate(SHAPES)]  # fmt: skip
    zero = np.setdiff1d(np.arange(SHAPES[TABLE][0]), TOUCHED[rank])
    made[TABLE][zero] = 0
    return made


def reduced(rows=None, compression="none", bucket_bytes=None) -> list:
    """(gradients, figures, seconds, bytes) on each rank."""
    chosen = {} if rows is None else {TABLE: tf.constant(rows, tf.int64)}

    def work(comm):
        large = LARGE if comm.rank == 0 else 0.0
        figures = [tf.constant(float(comm.rank)), tf.constant(large), tf.ones((2, 2))]
        own = [tf.constant(g) for g in gradients_of(comm.rank)]
        size = tf.constant(comm.size)
        found = reduce_all(own, figures, chosen, compression, comm, size, bucket_bytes)
        gradients, figures = ([t.numpy() for t in ts] for ts in (found.gradients, found.figures))
        return gradients, figures, float(found.seconds), int(found.bytes_sent)

    return on_ranks(RANKS, work)


def same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


EXPECTED = [sum(parts) for parts in zip(*map(gradients_of, range(RANKS)), strict=True)]


@pytest.mark.parametrize("rows", [None, UNION, np.arange(1000)], ids=["dense", "some", "all"])
@pytest.mark.parametrize("bucket_bytes", [None, 1, 1000])
def test_sums_do_not_depend_on_how_they_travel(rows, bucket_bytes):
    for gradients, _, seconds, _ in reduced(rows, bucket_bytes=bucket_bytes):
        assert same(gradients, EXPECTED)
        assert 0 <= seconds < 60


def test_control_a_touched_row_that_is_left_out_is_missing_in_the_sum():
    assert not same(reduced(UNION[:-1])[0][0], EXPECTED)


def test_few_rows_are_fewer_bytes():
    dense, sparse = (reduced(rows)[0][3] for rows in (None, UNION))
    row = 4 * SHAPES[TABLE][1]
    assert dense - sparse == pytest.approx(2 * (RANKS - 1) / RANKS * row * 995, abs=8)


@pytest.mark.parametrize("compression", ["float16", "bfloat16"])
@pytest.mark.parametrize("rows", [None, UNION], ids=["dense", "sparse"])
def test_compressed_sums_are_close_and_the_same_on_every_rank(compression, rows):
    found = reduced(rows, compression, bucket_bytes=2000)
    for gradients, figures, _, _ in found:
        assert same(gradients, found[0][0])
        assert figures[0] == 0 + 1 + 2 and figures[1] == LARGE and (figures[2] == RANKS).all()
        for ours, exact in zip(gradients, EXPECTED, strict=True):
            assert np.abs(ours - exact).max() <= 2**-6 * np.abs(exact).max()
    assert not same(found[0][0], EXPECTED)


def test_buckets_begin_at_the_end_and_hold_everything_once():
    tensors = [tf.zeros(shape) for shape in SHAPES]
    assert buckets(tensors, range(5), None) == [[4, 3, 2, 1, 0]]
    assert buckets(tensors, range(5), 1) == [[4], [3], [2], [1], [0]]
    assert buckets(tensors, [0, 1, 3, 4], 1800) == [[4, 3], [1, 0]]
    assert buckets(tensors, [0, 2, 3, 4], 1800) == [[4, 3, 2, 0]]  # a small rest is no message
    assert buckets(tensors, [], None) == []
