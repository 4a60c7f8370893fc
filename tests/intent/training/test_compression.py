"""Sums over ranks of numbers that travel as 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from intent.training.compression import S, compressed_sum, decode, encode
from tests.support.thread_ranks import on_ranks

BITS = {"float16": 11, "bfloat16": 8}
KINDS = pytest.mark.parametrize("kind", BITS)


def there_and_back(numbers: np.ndarray, kind: str) -> np.ndarray:
    return decode(encode(tf.constant(numbers), kind), kind).numpy()


@KINDS
@pytest.mark.parametrize("size", [1e-35, 1e-12, 1.0, 1e12, 1e37])
def test_numbers_of_any_size_keep_their_bits(kind, size):
    numbers = np.random.default_rng(0).uniform(0.01, 3, (4, S)).astype(np.float32)
    numbers *= np.float32(size) * np.where(np.arange(S) % 2, 1, -1).astype(np.float32)
    found = there_and_back(numbers, kind)
    assert (np.abs(found / numbers - 1) <= 2.0 ** -BITS[kind]).all()


def test_control_float16_alone_loses_them():
    with np.errstate(over="ignore"):
        assert np.float16(1e12) == np.inf
    assert np.float16(1e-12) == 0


def test_blocks_have_scales_of_their_own():
    numbers = np.ones((2, S), np.float32) * np.float32([[1e-20], [1e20]])
    assert there_and_back(numbers, "float16") == pytest.approx(numbers, rel=1e-3)


@KINDS
def test_zeros_stay_zeros_and_what_is_not_finite_stays_so(kind):
    numbers = np.zeros((3, S), np.float32)
    numbers[1, 5], numbers[2, 5] = np.inf, np.nan
    found = there_and_back(numbers, kind)
    assert (found[0] == 0).all()
    assert not np.isfinite(found[1, 5]) and np.isnan(found[2, 5])


@KINDS
@pytest.mark.parametrize("length", [1, S, 3 * S, 5000])
@pytest.mark.parametrize("size", [1, 3])
def test_all_ranks_have_the_same_bits_of_the_sum(kind, size, length):
    rng = np.random.default_rng(length)
    parts = rng.normal(0, 1e-6, (size, length)).astype(np.float32)

    def work(comm):
        own = tf.constant(parts[comm.rank])
        (total,), sent = compressed_sum([own], kind, comm, "x", tf.constant(size))
        # an exchange leaves out the chunk that stays; a concatenation passes on N - 1 parts
        real = (size - 1) * comm.sent["x.chunks"] // size + (size - 1) * comm.sent["x.sums"]
        return total.numpy(), int(sent), real

    totals, sent, real = zip(*on_ranks(size, work), strict=True)
    for total in totals:
        np.testing.assert_array_equal(total, totals[0])
    assert sent == real
    whole = -(-length // (size * S)) * size * S
    assert sent[0] == pytest.approx((size - 1) / size * 2 * whole * 2, rel=0.01)  # half of float32
    # Rounded once by each rank, and once as a sum.
    bound = (np.abs(parts).sum(axis=0) + np.abs(parts.sum(axis=0))) * 2.0 ** -BITS[kind]
    floor = np.abs(parts).max() * 2.0**-28
    assert (np.abs(totals[0] - parts.sum(axis=0)) <= bound + floor).all()


def test_sums_are_in_float32():
    """A number and 2048 ranks' worth of 1: in float16 the ones would be lost, one by one."""
    ranks = 3

    def work(comm):
        own = tf.fill([S], 2048.0 if comm.rank == 0 else 1.0)
        return compressed_sum([own], "float16", comm, "x", tf.constant(ranks))[0][0].numpy()

    assert on_ranks(ranks, work)[0][0] == 2050
    assert np.float16(np.float16(2048) + np.float16(1)) == 2048  # the control
