from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from intent.models.losses import cross_entropy, step_loss

TASKS = ["realtime", "longterm"]


def some(n=6, seed=0):
    rng = np.random.default_rng(seed)
    logits = {name: rng.normal(size=n).astype(np.float32) for name in TASKS}
    return logits, rng.integers(0, 2, (n, 2)).astype(np.uint8)


def equation_5(logit, label):
    p = 1 / (1 + np.exp(-logit.astype(np.float64)))
    return -(label * np.log(p) + (1 - label) * np.log(1 - p))


def test_equations_5_and_6():
    logits, labels = some()
    loss = step_loss(logits, labels, np.ones(6, np.float32), 6, TASKS)
    expected = sum(equation_5(logits[t], labels[:, i]).mean() for i, t in enumerate(TASKS))
    np.testing.assert_allclose(float(loss), expected, rtol=1e-6)


def test_shares_of_ranks_add_up_to_the_loss_of_the_whole_step():
    logits, labels = some()
    whole = step_loss(logits, labels, np.ones(6, np.float32), 6, TASKS)
    parts = 0.0
    for rows in (slice(0, 4), slice(4, 6)):  # the second is filled up to 4 rows
        part = {t: np.resize(v[rows], 4) for t, v in logits.items()}
        real = np.arange(4) < (rows.stop - rows.start)
        parts += float(step_loss(part, np.resize(labels[rows], (4, 2)), real * 1.0, 6, TASKS))
    np.testing.assert_allclose(parts, float(whole), rtol=1e-6)


def test_task_weights_and_a_subset_of_tasks():
    logits, labels = some()
    ones = np.ones(6, np.float32)
    only = step_loss({"longterm": logits["longterm"]}, labels, ones, 6, TASKS)
    np.testing.assert_allclose(
        float(only), equation_5(logits["longterm"], labels[:, 1]).mean(), rtol=1e-6
    )
    weighted = step_loss(logits, labels, ones, 6, TASKS, {"realtime": 0.0, "longterm": 3.0})
    np.testing.assert_allclose(float(weighted), 3 * float(only), rtol=1e-6)


def test_the_gradient_is_p_minus_y_everywhere():
    x = tf.constant([-200.0, -1.0, 0.0, 0.0, 1.0, 200.0])
    y = np.array([1, 0, 0, 1, 1, 0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = cross_entropy(x, y)
    p = 1 / (1 + np.exp(-np.clip(x.numpy().astype(np.float64), -100, 100)))
    np.testing.assert_allclose(tape.gradient(loss, x).numpy(), p - y, atol=1e-6)
    np.testing.assert_allclose(loss.numpy()[[0, 5]], [200, 200])


def test_an_unknown_task_is_named():
    logits, labels = some()
    with pytest.raises(ValueError, match="no labels for task \\['soon'\\]"):
        step_loss(logits, labels, np.ones(6), 6, TASKS, {"soon": 1.0})
