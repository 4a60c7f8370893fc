from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from intent.models.flat import FlatWindow


def test_a_short_window_is_laid_flat_as_a_full_one_with_zeros_behind():
    window = np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2)
    flat = FlatWindow(4)(window)
    np.testing.assert_array_equal(flat, [[1, 2, 3, 4, 5, 6, 0, 0], [7, 8, 9, 10, 11, 12, 0, 0]])
    np.testing.assert_array_equal(FlatWindow(3)(window), window.reshape(2, 6))


def test_a_length_that_is_known_only_when_it_runs():
    """As in a function that is compiled once for all lengths."""
    layer = FlatWindow(4)
    compiled = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 2))])
    for positions in (1, 3, 4):
        window = np.random.default_rng(0).random((2, positions, 2), np.float32)
        np.testing.assert_array_equal(compiled(window), layer(window))


def test_a_window_longer_than_the_model_s_is_an_error():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        FlatWindow(4)(np.zeros((1, 5, 2), np.float32))
