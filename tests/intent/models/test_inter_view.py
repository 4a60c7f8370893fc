from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from intent.models.inter_view import InterViewAttention


def view(counts, length, width=6, seed=0):
    """(v [B, N, 2D] zero at padding, real [B, N])."""
    real = np.arange(length) < np.array(counts)[:, None]
    v = np.random.default_rng(seed).normal(size=(len(counts), length, width)) * real[..., None]
    return v.astype(np.float32), real


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_equation_4_without_padding():
    (v, v_real), (u, u_real) = view([5], 5), view([5], 5, seed=1)
    r = InterViewAttention()(v, v_real, u, u_real).numpy()[0]
    a_v = softmax(u[0] @ v[0].T / np.sqrt(6)) @ v[0]
    a_u = softmax(v[0] @ u[0].T / np.sqrt(6)) @ u[0]
    np.testing.assert_allclose(r, a_v * a_u, rtol=1e-5, atol=1e-6)


def test_it_is_symmetric():
    (v, v_real), (u, u_real) = view([5, 2], 5), view([3, 4], 5, seed=1)
    layer = InterViewAttention()
    np.testing.assert_allclose(
        layer(v, v_real, u, u_real), layer(u, u_real, v, v_real), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("counts", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_view_gives_zeros_and_finite_gradients(counts):
    (v, v_real), (u, u_real) = view(counts[:1], 4), view(counts[1:], 4, seed=1)
    v, u = tf.constant(v), tf.constant(u)
    with tf.GradientTape() as tape:
        tape.watch([v, u])
        r = InterViewAttention()(v, v_real, u, u_real)
        loss = tf.reduce_sum(r)
    assert np.all(r.numpy() == 0)
    assert all(np.all(g.numpy() == 0) for g in tape.gradient(loss, [v, u]))


def test_padding_is_neither_query_nor_key():
    (v, v_real), (u, u_real) = view([4], 6), view([2], 6, seed=1)
    layer = InterViewAttention()
    r = layer(v, v_real, u, u_real).numpy()
    assert np.all(r[0, 2:] == 0) and np.all(r[0, :2] != 0)
    of_v, of_u = layer.attention(tf.constant(v), v_real, tf.constant(u), u_real)
    assert np.all(of_v.numpy()[..., 4:] == 0) and np.all(of_u.numpy()[..., 2:] == 0)


@pytest.mark.parametrize("counts", [(0, 8), (1, 5), (8, 8), (3, 7)])
def test_more_padding_changes_nothing(counts):
    (v, v_real), (u, u_real) = view(counts[:1], 8), view(counts[1:], 8, seed=1)
    layer = InterViewAttention()
    r = layer(v, v_real, u, u_real).numpy()
    wide, tall = [(0, 0), (0, 8), (0, 0)], [(0, 0), (0, 8)]
    longer = layer(np.pad(v, wide), np.pad(v_real, tall), np.pad(u, wide), np.pad(u_real, tall))
    np.testing.assert_allclose(longer[:, :8], r, rtol=1e-5, atol=1e-7)
    assert np.all(longer.numpy()[:, 8:] == 0)
