from __future__ import annotations

import numpy as np
import pytest

from intent.samples.fusion import fusion_order


def naive(timestamps, counts, length):
    """Sorts tuples, one group at a time."""
    out = np.zeros((len(counts[0]), length), np.uint16)
    for b in range(len(out)):
        actions = [
            (int(t[b, i]), v, i) for v, t in enumerate(timestamps) for i in range(counts[v][b])
        ]
        for p, (_, v, i) in enumerate(sorted(actions)[-length:]):
            out[b, p] = 1 + v * length + i
    return out


def test_a_small_example():
    times = [np.array([[10, 30, 0]]), np.array([[20, 30, 40]])]
    order = fusion_order(times, [np.array([2]), np.array([3])], 3)
    # 10 and 20 are dropped; at 30 the first view comes first: its action 1, then 4 + 1, 4 + 2.
    np.testing.assert_array_equal(order, [[2, 5, 6]])
    assert order.dtype == np.uint16


@pytest.mark.parametrize("seed", range(5))
def test_against_a_naive_sort_with_ties_and_empty_views(seed):
    rng = np.random.default_rng(seed)
    length, batch = 6, 40
    counts = [rng.integers(0, length + 1, batch) for _ in range(3)]
    times = [np.sort(rng.integers(0, 9, (batch, length)), axis=1) for _ in range(3)]
    expected = naive(times, counts, length)
    np.testing.assert_array_equal(fusion_order(times, counts, length), expected)


def test_what_stands_at_padding_is_not_read():
    counts = [np.array([1]), np.array([2])]
    a = fusion_order([np.array([[5, 0, 0]]), np.array([[1, 9, 0]])], counts, 3)
    b = fusion_order([np.array([[5, 7, -8]]), np.array([[1, 9, 99]])], counts, 3)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, [[4, 1, 5]])


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"timestamps are \(2, 4\), expected \(2, 3\)"):
        fusion_order([np.zeros((2, 4))], [np.zeros(2, int)], 3)
    with pytest.raises(ValueError, match="do not fit into uint16"):
        fusion_order([np.zeros((1, 40_000))] * 2, [np.zeros(1, int)] * 2, 40_000)
