"""Every kernel against the layer's own `keras.ops`: values and gradients, any size and length."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from intent.models import kernels
from intent.models.bigru import BiGRU
from intent.models.embedding import ActionEmbedding
from intent.models.inter_view import InterViewAttention
from intent.models.intra_view import IntraViewAttention
from intent.models.kernels.build import compiler

needs_kernels = pytest.mark.skipif(
    os.environ.get("INTENT_KERNELS") == "0" or shutil.which(compiler()) is None,
    reason="the kernels are switched off, or there is no C++ compiler",
)
pytestmark = needs_kernels
CLOSE = 5e-6  # relative to the largest number of an array


def windows(counts, length, width, seed=0):
    """(values [B, N, W], 0 at padding; real [B, N])."""
    real = np.arange(length) < np.array(counts)[:, None]
    values = np.random.default_rng(seed).normal(size=(len(counts), length, width))
    return tf.constant(values * real[..., None], tf.float32), tf.constant(real)


def both(layer, inputs, watched):
    """[(outputs, gradients of inputs and weights)] by `keras.ops` and by the kernel."""
    layer(*inputs)  # builds it
    rng = np.random.default_rng(1)
    for w in layer.weights:
        w.assign(rng.normal(0, 0.5, w.shape))
    weights = [w.value for w in layer.weights]
    results = []
    for take_kernel in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(watched)
            if take_kernel:
                assert kernels.usable(*weights)
                outputs = layer(*inputs)
            else:
                with kernels.portable():
                    assert not kernels.usable(*weights)
                    outputs = layer(*inputs)
            found = outputs if isinstance(outputs, tuple) else (outputs,)
            found = [o for o in found if o.dtype == tf.float32]
            chance = np.random.default_rng(2)
            loss = tf.add_n([tf.reduce_sum(o * chance.normal(size=o.shape)) for o in found])
        gradients = tape.gradient(loss, [*watched, *weights])
        results.append((found, [tf.convert_to_tensor(g) for g in gradients]))
    return results


def check(results):
    (outputs, gradients), (fast_outputs, fast_gradients) = results
    for a, b in zip([*fast_outputs, *fast_gradients], [*outputs, *gradients], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE * np.abs(b).max())
    assert all(np.abs(o).max() > 0 for o in outputs)


SIZES = [(1, 1, 1), (9, 5, 3), (33, 16, 16), (40, 7, 20), (256, 32, 32)]
COUNTS = [0, 1, 2, 15, 16, 17, 31, 255, 256] * 2


@pytest.mark.parametrize(
    "length, width, units, reset_after",
    [
        *((*size, True) for size in SIZES),
        *((*size, False) for size in SIZES[:-1]),
        pytest.param(*SIZES[-1], False, marks=pytest.mark.slow),
    ],
)
def test_bi_gru(length, width, units, reset_after):
    actions, real = windows([min(n, length) for n in COUNTS], length, width)
    check(both(BiGRU(units, reset_after), (actions, real), [actions]))


@pytest.mark.parametrize("length, width, units", SIZES)
@pytest.mark.parametrize("scale", ["none", "length"])
def test_intra_view(length, width, units, scale):
    h, real = windows([min(n, length) for n in COUNTS], length, 2 * units)
    last = tf.random.stateless_normal((len(COUNTS), units), seed=(1, 2)) / units
    if length == 1:
        pytest.skip("one action has the weight 1, whatever the current one: no gradient to compare")
    check(both(IntraViewAttention(scale), (h, last, real), [h, last]))


@pytest.mark.parametrize("length, width, units", SIZES)
def test_inter_view(length, width, units):
    v, v_real = windows([min(n, length) for n in COUNTS], length, 2 * units)
    u, u_real = windows([min(n, length) for n in COUNTS[::-1]], length, 2 * units, seed=5)
    check(both(InterViewAttention(), (v, v_real, u, u_real), [v, u]))


@pytest.mark.parametrize("length, width, units", SIZES)
def test_inter_view_with_products_in_bfloat16(length, width, units):
    """Within 3 % of the largest entry, that is within what 8 bits of each factor give."""
    if not kernels.has_bfloat16():
        pytest.skip("this processor has no AMX")
    v, v_real = windows([min(n, length) for n in COUNTS], length, 2 * units)
    u, u_real = windows([min(n, length) for n in COUNTS[::-1]], length, 2 * units, seed=5)
    with kernels.bfloat16_products():
        (outputs, gradients), (coarse, coarse_gradients) = both(
            InterViewAttention(), (v, v_real, u, u_real), [v, u]
        )
    for a, b in zip([*coarse, *coarse_gradients], [*outputs, *gradients], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=0.03 * np.abs(b).max())
        assert np.all(np.asarray(a)[np.asarray(b) == 0] == 0)
    assert np.abs(coarse[0] - outputs[0]).max() > CLOSE * np.abs(outputs[0]).max()


def test_inter_view_of_scores_far_apart():
    """Scores of some hundreds: e^x of them is beyond float32, their softmax is not."""
    v, v_real = windows([20, 7], 20, 10)
    u, u_real = windows([9, 20], 20, 10, seed=5)
    results = both(InterViewAttention(), (10 * v, v_real, 20 * u, u_real), [])
    assert np.abs(10 * v @ tf.transpose(20 * u, (0, 2, 1)) / 10**0.5).max() > 200
    np.testing.assert_allclose(results[1][0][0], results[0][0][0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64"])
@pytest.mark.parametrize("units", [3, 32])
def test_lookup(dtype, units):
    tables = [["a", 5, 2], ["marker", 3, 1], ["b", 200, 7]]
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(0, rows, (11, 29)) for _, rows, _ in tables], -1)
    ids[..., 1] = rng.integers(1, 3, (11, 29)) * (np.arange(29) < rng.integers(0, 30, (11, 1)))
    ids = (ids * (ids[..., 1:2] > 0)).astype(dtype)
    layer = ActionEmbedding(tables, units, marker=1)
    check(both(layer, (tf.constant(ids),), []))
    with kernels.portable():
        _, real = layer(ids)
    np.testing.assert_array_equal(layer(ids)[1], real)


def test_an_id_beyond_its_table_is_an_error():
    layer = ActionEmbedding([["a", 5, 2], ["marker", 3, 1]], 4, marker=1)
    ids = np.ones((2, 3, 2), np.uint8)
    layer(ids)
    ids[1, 2, 0] = 5
    with pytest.raises(tf.errors.InvalidArgumentError, match="feature 0 has the id 5.* 5 rows"):
        layer(ids)


def test_more_actions_than_positions_are_an_error():
    h, _ = windows([3], 3, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="4 actions in a window of 3"):
        kernels.operators().intent_intra_view(h, [4], h[:, 0], by_length=False)


def test_what_lies_in_padding_counts_for_nothing():
    """Not even NaN: kernels never read there."""
    actions, real = windows([3, 0], 5, 4)
    layer = BiGRU(6)
    expected = layer(actions, real)
    dirty = tf.where(real[..., None], actions, np.nan)
    for a, b in zip(layer(dirty, real), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    v, u = expected[0], expected[0] + tf.cast(real[..., None], tf.float32)
    r = InterViewAttention()(v, real, u, real)
    dirty = tf.where(real[..., None], v, np.nan)
    np.testing.assert_array_equal(InterViewAttention()(dirty, real, u, real), r)


def test_nan_among_the_real_actions_is_not_hidden():
    actions, real = windows([3], 4, 4)
    h, *_ = BiGRU(6)(actions + np.nan, real)
    assert np.isnan(h[0, 0]).any()


def test_nan_in_the_tables_or_the_layer_after_them_is_not_hidden():
    layer = ActionEmbedding([["a", 5, 2], ["marker", 3, 1]], 4, marker=1)
    ids = np.ones((2, 3, 2), np.uint8)
    layer(ids)
    for weight in layer.weights:
        before = weight.numpy()
        weight.assign(before * np.nan)
        assert np.isnan(layer(ids)[0]).all(), weight.path
        weight.assign(before)
    assert np.isfinite(layer(ids)[0]).all()


GRU = [(1, 4, 2), [4], *[(2, 6), (2, 6), (2, 6)] * 2]
LOOKUP = {"starts": [0, 5, 8], "marker": 1}


@pytest.mark.parametrize(
    "name, inputs, attributes",
    [
        ("bi_gru_grad", [*GRU, (1, 1), (1, 4, 4), (1, 2), (1, 2)], {"reset_after": True}),
        ("bi_gru_grad", [*GRU, (1, 4, 4), (1, 4, 4), (1, 2), (1, 1)], {"reset_after": True}),
        ("intra_view_grad", [(1, 4, 2), [5], (1, 2), (1, 4), (1, 4, 2)], {"by_length": False}),
        ("intra_view_grad", [(1, 4, 2), [4], (1, 2), (1, 1), (1, 4, 2)], {"by_length": False}),
        ("intra_view_grad", [(2,), [1, 1], (2,), (2,), (2,)], {"by_length": False}),
        (
            "inter_view_grad",
            [(1, 4, 2), [4], (1, 4, 2), [4], (1, 4, 2), (1, 4, 2), (1, 1)],
            {"coarse": False},
        ),
        ("inter_view_grad", [(2,), [1], (2,), [1], (2,), (2,), (2,)], {"coarse": False}),
        ("lookup", [[[[1, 1]]], (8, 9), (1,)], LOOKUP),
        ("lookup", [[[[1, 1]]], (8, 9), (9,)], LOOKUP | {"marker": -99}),
        ("lookup", [[[[7, 1]]], (8, 9), (9,)], LOOKUP | {"starts": [0, 9, 8]}),
        ("lookup_grad", [[[[1, 9]]], (1, 1, 4), (1, 1, 4)], LOOKUP),
        ("lookup_grad", [[[[1, 1]]], (1, 1, 4), (1, 1, 1)], LOOKUP),
    ],
)
def test_inputs_that_do_not_fit_together_are_an_error(name, inputs, attributes):
    """And never a read or a write outside of them. Tuples are shapes, lists are values."""
    operator = getattr(kernels.operators(), f"intent_{name}")
    given = [tf.zeros(i) if isinstance(i, tuple) else tf.constant(i) for i in inputs]
    with pytest.raises(tf.errors.InvalidArgumentError):
        operator(*given, **attributes)


@pytest.mark.parametrize("name", ["intra_view", "lookup"])
def test_another_rank_is_an_error_in_a_graph_too(name):
    if name == "lookup":
        inputs, attributes = [tf.constant(1), tf.zeros((8, 4)), tf.zeros(4)], LOOKUP
    else:
        inputs, attributes = [tf.zeros(()), [1], tf.zeros((1, 4))], {"by_length": True}
    operator = tf.function(getattr(kernels.operators(), f"intent_{name}"))
    with pytest.raises(ValueError, match="Shape must be rank 3 but is rank 0"):
        operator(*inputs, **attributes)


def test_other_types_and_portable_take_the_layers_own_form():
    assert kernels.usable(tf.zeros(1))
    assert not kernels.usable(tf.zeros(1), tf.zeros(1, tf.float64))
    assert not kernels.usable(ops.cast(tf.zeros(1), "bfloat16"))
    with kernels.portable():
        assert not kernels.usable(tf.zeros(1))
    assert kernels.usable(tf.zeros(1))


def test_with_a_gpu_the_layers_keep_to_what_runs_there(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["/GPU:0"])
    assert kernels._operators.__wrapped__() is None
