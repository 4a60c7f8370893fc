from __future__ import annotations

import numpy as np
import tensorflow as tf

from intent.models.masks import masked_softmax


def test_weights_are_a_softmax_over_the_real_positions():
    scores = np.array([[1.0, 2.0, 50.0]], np.float32)
    weights = masked_softmax(tf.constant(scores), tf.constant([[True, True, False]])).numpy()
    e = np.exp([1.0, 2.0])
    np.testing.assert_allclose(weights[0, :2], e / e.sum(), rtol=1e-6)
    assert weights[0, 2] == 0


def test_a_row_without_a_real_position_is_zero_with_zero_gradient():
    scores = tf.constant([[3.0, -4.0], [1.0, 2.0]])
    real = tf.constant([[False, False], [True, True]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = tf.reduce_sum(masked_softmax(scores, real)[:, 0] ** 2)
    gradient = tape.gradient(loss, scores).numpy()
    assert np.all(gradient[0] == 0) and np.all(np.isfinite(gradient)) and gradient[1, 0] != 0
    assert np.all(masked_softmax(scores, real).numpy()[0] == 0)


def test_half_precision_keeps_its_dtype_and_sums_to_one():
    scores = tf.cast(np.zeros((1, 4096)), "float16")
    weights = masked_softmax(scores, tf.ones((1, 4096), bool))
    assert weights.dtype == tf.float16
    np.testing.assert_allclose(weights.numpy().astype(np.float64).sum(), 1, rtol=1e-3)
