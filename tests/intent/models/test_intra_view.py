from __future__ import annotations

import numpy as np
import pytest

from intent.models.intra_view import IntraViewAttention


def states(counts, length, d=3, seed=0):
    """(h [B, N, 2D] zero at padding, last [B, D], real [B, N])."""
    rng = np.random.default_rng(seed)
    real = np.arange(length) < np.array(counts)[:, None]
    h = rng.normal(size=(len(counts), length, 2 * d)) * real[..., None]
    return h.astype(np.float32), rng.normal(size=(len(counts), d)).astype(np.float32), real


def test_equations_2_and_3():
    h, last, real = states([4, 2], 4)
    layer = IntraViewAttention()
    v = layer(h, last, real).numpy()
    w_a = layer.w_a.numpy()
    assert w_a.shape == (6, 3)
    for b, n in enumerate([4, 2]):
        e = np.array([np.exp(h[b, t] @ w_a @ last[b]) for t in range(n)])
        np.testing.assert_allclose(v[b, :n], h[b, :n] * (e / e.sum())[:, None], rtol=1e-5)
        assert np.all(v[b, n:] == 0)


def test_scores_sum_to_one_or_zero():
    h, last, real = states([4, 1, 0], 4)
    layer = IntraViewAttention()
    layer(h, last, real)
    np.testing.assert_allclose(layer.scores(h, last, real).numpy().sum(1), [1, 1, 0], rtol=1e-6)


@pytest.mark.parametrize("scale", ["none", "length"])
@pytest.mark.parametrize("count", range(9))
def test_more_padding_changes_nothing(count, scale):
    h, last, real = states([count], 8)
    layer = IntraViewAttention(scale)
    v = layer(h, last, real).numpy()
    longer = layer(np.pad(h, [(0, 0), (0, 8), (0, 0)]), last, np.pad(real, [(0, 0), (0, 8)]))
    np.testing.assert_allclose(longer[:, :8], v, rtol=1e-6, atol=1e-7)
    assert np.all(longer.numpy()[:, 8:] == 0)


def test_scaled_by_the_length_even_attention_leaves_the_states_as_they_are():
    h, last, real = states([4, 1, 0], 4)
    paper, scaled = IntraViewAttention(), IntraViewAttention(scale="length")
    v = paper(h, last, real).numpy()
    scaled.build(h.shape, last.shape, real.shape)
    scaled.w_a.assign(paper.w_a)
    n = np.array([4, 1, 0])[:, None, None]
    np.testing.assert_allclose(scaled(h, last, real), v * n, rtol=1e-6)
    scaled.w_a.assign(np.zeros((6, 3)))
    np.testing.assert_allclose(scaled(h, last, real), h, rtol=1e-6)
    assert np.abs(v - h).max() > 0.1  # the control: the paper's does not


def test_the_scale_is_saved():
    again = IntraViewAttention.from_config(IntraViewAttention(scale="length").get_config())
    assert again.scale == "length"
