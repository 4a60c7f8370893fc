from __future__ import annotations

import numpy as np
import tensorflow as tf

from intent.models.fusion import MergeByTime


def test_actions_go_where_the_order_says_and_the_rest_is_padding():
    a = np.arange(2 * 3 * 2, dtype=np.float32).reshape(2, 3, 2) + 1
    b = -a
    order = np.array([[4, 1, 5], [3, 0, 0]], np.uint16)  # 1 + view * 3 + index
    merged, real = MergeByTime()(order, [a, b])
    np.testing.assert_array_equal(merged[0], [b[0, 0], a[0, 0], b[0, 1]])
    np.testing.assert_array_equal(merged[1], [a[1, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal(real, [[True, True, True], [True, False, False]])


def test_only_the_merged_actions_get_a_gradient():
    a, b = tf.ones((1, 2, 1)), tf.ones((1, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        merged, _ = MergeByTime()(np.array([[2, 3]], np.uint16), [a, b])
        loss = tf.reduce_sum(merged)
    ga, gb = tape.gradient(loss, [a, b])
    np.testing.assert_array_equal(ga.numpy()[0, :, 0], [0, 1])
    np.testing.assert_array_equal(gb.numpy()[0, :, 0], [1, 0])
