"""Every length from 0 (an empty view) to 256, in the paper's window: padding is never seen.

A layer gets one batch that holds all 257 lengths, with garbage where there is padding, and is
compared with what NumPy makes of the real actions alone. The model gets the same batch with more
and with less padding.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from intent.models.bigru import BiGRU
from intent.models.embedding import ActionEmbedding
from intent.models.flat import FlatWindow
from intent.models.fusion import MergeByTime
from intent.models.inter_view import InterViewAttention
from intent.models.intra_view import IntraViewAttention
from intent.samples.fusion import fusion_order
from tests.intent.groups import random_groups, small_schema
from tests.reference import dipn_numpy
from tests.support.variants import make

N = 256
EVERY = np.arange(N + 1)
OTHER = EVERY * 101 % (N + 1)  # the same lengths in another order
REAL = np.arange(N) < EVERY[:, None]  # row n has n real positions
GARBAGE = 7.0
SCHEMA = small_schema(length=N, largest=12)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_embedding():
    tables = [["a", 9, 2], ["b", 5, 3]]
    layer = ActionEmbedding(tables, 4, marker=1)
    rng = np.random.default_rng(0)
    window = np.stack([rng.integers(0, 9, N), rng.integers(1, 5, N)], axis=1).astype(np.uint8)
    ids = np.where(REAL[..., None], window, np.array([3, 0], np.uint8))  # id 3 stands for nothing
    actions, real = layer(ids)
    np.testing.assert_array_equal(real, REAL)
    whole, weights = actions.numpy()[N], layer.lookup.weights_by_feature
    named = {name: weights[name].numpy() for name in "ab"}
    kernel, bias = layer.fc.kernel.numpy(), layer.fc.bias.numpy()
    embedded = np.stack([dipn_numpy.embed(row, ["a", "b"], named, np.float32) for row in window])
    np.testing.assert_allclose(whole, np.maximum(embedded @ kernel + bias, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(actions, np.where(REAL[..., None], whole, 0), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("reset_after", [True, False])
def test_bigru(reset_after):
    """Row n is the first n of 256 actions, or the last n.

    The forward states of the first n actions are the first n of the whole, the backward states of
    the last n actions the last n of the whole: two plain runs tell what all 514 rows must be.
    """
    width, d, sequence = 3, 2, random(N, 3)
    ends = np.stack([np.roll(sequence, n, axis=0) for n in EVERY])  # the last n come first
    windows = np.concatenate([np.broadcast_to(sequence, ends.shape), ends])
    real = np.concatenate([REAL, REAL])
    windows = np.where(real[..., None], windows, GARBAGE).astype(np.float32)
    layer = BiGRU(d, reset_after)
    layer.build((None, N, width), (None, N))
    for i, w in enumerate(layer.weights):
        w.assign(random(*w.shape, seed=i + 1) * 0.7)
    h, forward_last, backward_last = (t.numpy() for t in tf.function(layer)(windows, real))

    forward, _ = dipn_numpy.gru(sequence, REAL[N], weights(layer.forward_gru))
    backward, _ = dipn_numpy.gru(sequence, REAL[N], weights(layer.backward_gru), backward=True)
    close = {"rtol": 1e-5, "atol": 1e-5}
    assert np.all(h[~real] == 0)
    for n in EVERY:
        np.testing.assert_allclose(h[n, :n, :d], forward[:n], **close)
        np.testing.assert_allclose(h[N + 1 + n, :n, d:], backward[N - n :], **close)
    zero = np.zeros((1, d), np.float32)
    np.testing.assert_allclose(forward_last[: N + 1], np.concatenate([zero, forward]), **close)
    expected = np.concatenate([zero, backward[::-1]])
    np.testing.assert_allclose(backward_last[N + 1 :], expected, **close)
    # The halves that have no oracle here: each last state is the one at its end of the window.
    some, last = np.flatnonzero(real.any(1)), np.maximum(real.sum(1) - 1, 0)
    np.testing.assert_allclose(forward_last[some], h[some, last[some], :d], **close)
    np.testing.assert_allclose(backward_last[some], h[some, 0, d:], **close)


def weights(gru) -> dict:
    """A Keras GRU's weights as the reference reads them."""
    bias = gru.cell.bias.numpy()
    both = {"input_bias": bias[0], "recurrent_bias": bias[1]} if gru.reset_after else {"bias": bias}
    kernel, recurrent = gru.cell.kernel.numpy(), gru.cell.recurrent_kernel.numpy()
    return {"kernel": kernel, "recurrent": recurrent, **both}


def test_intra_view_attention():
    h, last = random(N + 1, N, 4), random(N + 1, 2, seed=1)
    layer = IntraViewAttention()
    v = layer(np.where(REAL[..., None], h, GARBAGE).astype(np.float32), last, REAL).numpy()
    assert np.all(v[~REAL] == 0) and np.all(v[REAL] != 0)
    for n in EVERY[1:]:
        scores = dipn_numpy.softmax(h[n, :n] @ layer.w_a.numpy() @ last[n])
        np.testing.assert_allclose(v[n, :n], h[n, :n] * scores[:, None], rtol=1e-5, atol=1e-7)


def test_inter_view_attention():
    u_real = np.arange(N) < OTHER[:, None]
    v, u = random(N + 1, N, 4), random(N + 1, N, 4, seed=1)
    r = InterViewAttention()(
        np.where(REAL[..., None], v, GARBAGE).astype(np.float32),
        REAL,
        np.where(u_real[..., None], u, -GARBAGE).astype(np.float32),
        u_real,
    ).numpy()
    assert np.all(r[~(REAL & u_real)] == 0)
    for n, m in zip(EVERY, OTHER, strict=True):
        both = min(n, m)
        if both:
            scores = v[n, :n] @ u[n, :m].T / 2  # [n, m]
            of_u = softmax(scores[:both]) @ u[n, :m]
            of_v = softmax(scores[:, :both].T) @ v[n, :n]
            np.testing.assert_allclose(r[n, :both], of_v * of_u, rtol=1e-4, atol=1e-5)


def softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_flattening():
    window = random(2, N, 3)
    layer = FlatWindow(N)
    for n in EVERY[1:]:
        flat = layer(window[:, :n]).numpy().reshape(2, N, 3)
        assert np.array_equal(flat[:, :n], window[:, :n]) and not flat[:, n:].any()


def test_merging_by_time():
    """Row n: n actions of one view and a number of others of the second, sorted by Python."""
    rng = np.random.default_rng(0)
    times = [np.sort(rng.integers(0, 500, (N + 1, N)), axis=1) for _ in range(2)]
    counts = [EVERY, OTHER]
    views = [random(N + 1, N, 2), random(N + 1, N, 2, seed=1)]
    merged, real = MergeByTime()(fusion_order(times, counts, N), views)
    np.testing.assert_array_equal(real, np.arange(N) < np.minimum(EVERY + OTHER, N)[:, None])
    for row in EVERY:
        every = [(times[v][row, i], v, i) for v in (0, 1) for i in range(counts[v][row])]
        kept = sorted(every)[-N:]
        expected = np.array([views[v][row, i] for _, v, i in kept]).reshape(-1, 2)
        assert np.array_equal(merged.numpy()[row, : len(kept)], expected)
        assert not merged.numpy()[row, len(kept) :].any()


SETTINGS = {
    "hidden": 2, "action_width": 3, "context_width": 2, "branch_units": [4],
}  # fmt: skip
# Rows of length n are compared in the shortest of these that holds them, and in 256.
SHORTER = (1, 2, 8, 33, 64, 100, 255)


@pytest.fixture(scope="module")
def groups() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs, and the longest window of each row: all views alike, then each of another length."""
    alike = [int(n) for n in EVERY]
    mixed = [
        {"swipe": int(n), "tap": int(n * 7 // 10), "browse": int(OTHER[n] % (n + 1))} for n in EVERY
    ]
    tap_longest = [{"tap": int(n), "browse": int(n // 3)} for n in EVERY]  # and no swipe at all
    inputs = random_groups(SCHEMA, [*alike, *mixed, *tap_longest])
    return inputs, np.concatenate([EVERY, EVERY, EVERY])


@pytest.mark.parametrize("variant", [{}, {"reset_after": False, "inter_view": False}], ids=str)
def test_a_score_does_not_depend_on_how_much_padding_there_is(groups, variant):
    inputs, longest = groups
    model = make(SCHEMA, **SETTINGS, **variant)
    specs = {n: tf.TensorSpec((None, *t.shape[1:]), t.dtype) for n, t in model.input.items()}
    score = tf.function(
        lambda x: tf.stack(list(model(x).values()), axis=1), input_signature=[specs]
    )
    full = score(inputs).numpy()
    assert np.all(np.isfinite(full)) and np.ptp(full, axis=0).min() > 0.1
    before = -1
    for positions in SHORTER:
        rows = (longest > before) & (longest <= positions)
        np.testing.assert_allclose(
            score(cut(inputs, rows, positions)), full[rows], rtol=1e-5, atol=1e-5
        )
        before = positions
        # Negative control: where the cut takes an action away, the score does change.
        rows = longest == positions + 1
        lost = np.abs(score(cut(inputs, rows, positions)).numpy() - full[rows])
        assert np.all(lost.max(1) > 1e-4), positions


def cut(inputs: dict[str, np.ndarray], rows: np.ndarray, positions: int) -> dict[str, np.ndarray]:
    return {k: v[rows][:, :positions] if v.ndim == 3 else v[rows] for k, v in inputs.items()}
