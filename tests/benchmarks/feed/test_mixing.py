"""The shuffle's numbers are 1 for a perfect shuffle, and say so when it is none."""

from itertools import permutations

import numpy as np
import pytest

from benchmarks.feed.mixing import distinct, quality, stirred

USERS, GROUPS, BATCH = 400, 30, 256


def test_different_keys_of_a_batch_are_1_on_the_mean_over_all_orders():
    keys = np.array([0, 0, 0, 1, 1, 2])
    assert np.mean([distinct(keys[list(p)], 3) for p in permutations(range(6))]) == pytest.approx(1)
    assert distinct(keys, 3) < 1


def disk():
    user = np.repeat(np.arange(USERS), GROUPS)
    return user, np.tile(np.repeat([0, 1], GROUPS // 2), USERS), np.arange(USERS * GROUPS)


def test_a_perfect_shuffle_has_1():
    order = np.random.default_rng(1).permutation(USERS * GROUPS)
    found = quality(*(a[order] for a in disk()), BATCH)
    assert list(found.values()) == pytest.approx([1, 1, 1], abs=0.01)


def test_the_order_on_disk_and_a_small_pool_are_far_from_it():
    rng = np.random.default_rng(2)
    pools = np.concatenate(
        [rng.permutation(part) for part in np.split(np.arange(USERS * GROUPS), 24)]
    )
    found, none = quality(*(a[pools] for a in disk()), BATCH), quality(*disk(), BATCH)
    assert max(found.values()) < 0.8
    assert all(found[name] > none[name] for name in found)


def test_stirring_keeps_batches_together():
    place = np.random.default_rng(3).permutation(1000)
    found = stirred(place, 100)
    assert not np.array_equal(found, place)
    for low in range(0, 1000, 100):
        assert set(found[low : low + 100]) == set(place[low : low + 100])
