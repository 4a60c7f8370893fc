"""The reference itself, against cases small enough to work out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from intent.schema import Feature, Schema, Task, View
from tests.reference import dipn_numpy as ref

TRUE2 = np.array([True, True])


def gru_weights(z=(0, 0, 0), r=(0, 0, 0), c=(0, 0, 0), after=None):
    """A GRU of one unit from (input weight, recurrent weight, bias) of each gate."""
    columns = np.array([z, r, c], float).T
    w = {"kernel": columns[:1], "recurrent": columns[1:2]}
    if after is None:
        return {**w, "bias": columns[2]}
    return {**w, "input_bias": columns[2], "recurrent_bias": np.array(after, float)}


def test_update_gate_keeps_the_old_state():
    # z = 3/4 whatever comes in, candidate = tanh(x): h1 = tanh(2)/4, h2 = 3/4 h1 + tanh(-1)/4.
    w = gru_weights(z=(0, 0, math.log(3)), c=(1, 0, 0))
    states, last = ref.gru(np.array([[2.0], [-1.0]]), TRUE2, w)
    h1 = math.tanh(2) / 4
    np.testing.assert_allclose(states[:, 0], [h1, 0.75 * h1 + math.tanh(-1) / 4], rtol=1e-12)
    np.testing.assert_allclose(last, states[1])


def test_reset_gate_before_and_after_the_recurrent_matrix():
    # r = 1/4, z = 1/2, h = 0.8, U = 2, input part 0.3.
    gates = {"z": (0, 0, 0), "r": (0, 0, -math.log(3)), "c": (1, 2, 0.3)}
    before = ref.gru_step(np.zeros(1), np.array([0.8]), gru_weights(**gates))
    after = ref.gru_step(np.zeros(1), np.array([0.8]), gru_weights(**gates, after=(0, 0, 0.5)))
    np.testing.assert_allclose(before, 0.4 + 0.5 * math.tanh(0.3 + 2 * (0.25 * 0.8)), rtol=1e-12)
    np.testing.assert_allclose(after, 0.4 + 0.5 * math.tanh(0.3 + 0.25 * (1.6 + 0.5)), rtol=1e-12)


def test_with_two_units_the_place_of_the_reset_gate_matters():
    # r = (1/4, 3/4) and U swaps the units: before, unit 0 sees r_1 h_1; after, r_0 h_1.
    b = [0, 0, -math.log(3), math.log(3), 0, 0]
    recurrent = np.zeros((2, 6))
    recurrent[:, 4:] = [[0, 1], [1, 0]]
    w = {"kernel": np.zeros((1, 6)), "recurrent": recurrent}
    h = np.array([0.4, 0.8])
    before = ref.gru_step(np.zeros(1), h, {**w, "bias": np.array(b)})
    both = {"input_bias": np.array(b), "recurrent_bias": np.zeros(6)}
    after = ref.gru_step(np.zeros(1), h, {**w, **both})
    np.testing.assert_allclose(before, h / 2 + np.tanh([0.75 * 0.8, 0.25 * 0.4]) / 2, rtol=1e-12)
    np.testing.assert_allclose(after, h / 2 + np.tanh([0.25 * 0.8, 0.75 * 0.4]) / 2, rtol=1e-12)


@pytest.mark.parametrize("reset_after", [False, True])
def test_gru_agrees_with_the_stock_layer_of_keras(reset_after):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1, 7, 5)).astype("f4")
    layer = keras.layers.GRU(4, reset_after=reset_after, return_sequences=True)
    layer.build(x.shape)
    kernel, recurrent, bias = (rng.normal(size=w.shape).astype("f4") for w in layer.get_weights())
    layer.set_weights([kernel, recurrent, bias])
    names = {"input_bias": bias[0], "recurrent_bias": bias[1]} if reset_after else {"bias": bias}
    states, _ = ref.gru(x[0], np.ones(7, bool), {"kernel": kernel, "recurrent": recurrent, **names})
    np.testing.assert_allclose(states, np.asarray(layer(x))[0], atol=2e-6)


def test_padding_moves_no_state_in_either_direction():
    w = gru_weights(z=(0.3, 0.2, 0.1), r=(0.5, -0.4, 0.2), c=(1, 0.7, 0.1))
    x = np.array([[1.0], [2.0]])
    padded = np.array([[1.0], [2.0], [99.0], [-99.0]])
    real = np.array([True, True, False, False])
    for backward in (False, True):
        states, last = ref.gru(x, TRUE2, w, backward=backward)
        states_padded, last_padded = ref.gru(padded, real, w, backward=backward)
        np.testing.assert_array_equal(last, last_padded)
        np.testing.assert_array_equal(states, states_padded[:2])
        assert not states_padded[2:].any()
        # Negative control: were padding real, the state would move.
        assert not np.allclose(ref.gru(padded, np.ones(4, bool), w, backward=backward)[1], last)


def test_backward_reads_from_the_last_action_and_ends_at_the_first():
    w = gru_weights(z=(0, 0, math.log(3)), c=(1, 0, 0))
    states, forward_last, backward_last = ref.bigru(
        np.array([[2.0], [-1.0]]), TRUE2, {"forward": w, "backward": w}
    )
    b2 = math.tanh(-1) / 4
    b1 = 0.75 * b2 + math.tanh(2) / 4
    np.testing.assert_allclose(states[:, 1], [b1, b2], rtol=1e-12)
    np.testing.assert_allclose(backward_last, [b1], rtol=1e-12)
    np.testing.assert_allclose(forward_last, states[1, :1])


def test_intra_attention_is_a_softmax_against_the_last_forward_state():
    # W_a takes the first half of h_t, so the scores are log 1, log 3 and the attention 1/4, 3/4.
    h = np.array([[0.0, 5.0], [math.log(3), 7.0], [42.0, 42.0]])
    real = np.array([True, True, False])
    v = ref.intra_attention(h, np.array([1.0]), real, np.array([[1.0], [0.0]]))
    expected = [[0, 5 / 4], [math.log(3) * 3 / 4, 7 * 3 / 4], [0, 0]]
    np.testing.assert_allclose(v, expected, rtol=1e-12)


def test_intra_attention_of_an_empty_window_is_zero():
    v = ref.intra_attention(np.zeros((3, 2)), np.zeros(1), np.zeros(3, bool), np.ones((2, 1)))
    np.testing.assert_array_equal(v, np.zeros((3, 2)))


def test_inter_attention_by_hand():
    # 2d = 4, so scores are halved. v has 2 real rows, u has 1: only row 0 is real in both.
    v = np.array([[2 * math.log(3), 0, 0, 1.0], [0, 0, 0, 2.0]])
    u = np.array([[1.0, 0, 0, 0], [50, 50, 50, 50]])
    r = ref.inter_attention(v, TRUE2, u, np.array([True, False]))
    # A_v row 0: u_0 against v_0, v_1 scores log 3 and 0 -> 3/4 v_0 + 1/4 v_1. A_u row 0: u_0.
    np.testing.assert_allclose(r[0], [0.75 * 2 * math.log(3), 0, 0, 0], rtol=1e-12)
    np.testing.assert_array_equal(r[1], np.zeros(4))


def test_inter_attention_is_symmetric_and_blind_to_padding():
    rng = np.random.default_rng(2)
    v, u = rng.normal(size=(2, 5, 4))
    v_real, u_real = np.arange(5) < 4, np.arange(5) < 3
    r = ref.inter_attention(v, v_real, u, u_real)
    np.testing.assert_array_equal(r, ref.inter_attention(u, u_real, v, v_real))
    v[4], u[3:] = 1e3, -1e3
    np.testing.assert_array_equal(r, ref.inter_attention(v, v_real, u, u_real))
    assert r[:3].all() and not r[3:].any()
    assert not ref.inter_attention(v, v_real, u, np.zeros(5, bool)).any()


TINY = Schema(
    views=(
        View("swipe", (Feature("a", 3, 2), Feature("b", 2, 1)), "a"),
        View("tap", (Feature("c", 3, 2),), "c"),
        View("browse", (Feature("d", 4, 1), Feature("e", 3, 2)), "d"),
    ),
    history=(Feature("h1", 3, 2), Feature("h2", 3, 1)),
    profile=(Feature("p1", 2, 1),),
    tasks=(Task("realtime", 1), Task("longterm", 2)),
    length=4,
)
E, D, C = 3, 2, 2  # action width, hidden, context width


def random_weights(schema: Schema, *, reset_after: bool = True, seed: int = 0, heads=None) -> dict:
    """Weights of the documented layout; `heads` gives the input width of the branches."""
    rng = np.random.default_rng(seed)

    def fc(rows, columns):
        return {"kernel": rng.normal(size=(rows, columns)), "bias": rng.normal(size=columns)}

    def block(features, width):
        tables = {f.name: rng.normal(size=(f.rows, f.embedding)) for f in features}
        return {"embedding": tables, "fc": fc(sum(f.embedding for f in features), width)}

    def gru():
        w = {"kernel": rng.normal(size=(E, 3 * D)), "recurrent": rng.normal(size=(D, 3 * D))}
        names = ("input_bias", "recurrent_bias") if reset_after else ("bias",)
        return {**w, **{name: rng.normal(size=3 * D) for name in names}}

    weights = {name: block(getattr(schema, name), C) for name in ("history", "profile")}
    for view in schema.views:
        weights[view.name] = {
            **block(view.features, E),
            "gru": {"forward": gru(), "backward": gru()},
            "attention": rng.normal(size=(2 * D, D)),
        }
    width = heads or 3 * schema.length * 2 * D + 2 * C + 3 * 2 * D
    weights["tasks"] = {t.name: {"layers": [fc(width, 5), fc(5, 1)]} for t in schema.tasks}
    return weights


def tiny_inputs() -> dict[str, np.ndarray]:
    """Two groups; in the second no tap is real."""
    return {
        "swipe": np.array([[[1, 1], [2, 0], [3, 2], [0, 0]], [[2, 2], [0, 0], [0, 0], [0, 0]]]),
        "tap": np.array([[[1], [2], [0], [0]], [[0], [0], [0], [0]]]),
        "browse": np.array([[[1, 1], [2, 3], [3, 0], [4, 2]], [[4, 1], [1, 0], [0, 0], [0, 0]]]),
        "history": np.array([[1, 0], [2, 3]]),
        "profile": np.array([[2], [0]]),
    }


def group_vector(weights, b, schema=TINY, intra_view=True, inter_view=True):
    group = {name: ids[b] for name, ids in tiny_inputs().items()}
    flags = {"intra_view": intra_view, "inter_view": inter_view}
    return ref.features(weights, group, schema, **flags, dtype=np.float64)


def test_the_vector_of_a_group_has_the_documented_order():
    weights = random_weights(TINY)
    x = group_vector(weights, 0)
    v = {
        view.name: ref.encode_view(
            view, tiny_inputs()[view.name][0], weights[view.name], intra_view=True, dtype=float
        )
        for view in TINY.views
    }
    size = TINY.length * 2 * D
    for i, (a, b) in enumerate([("swipe", "browse"), ("swipe", "tap"), ("tap", "browse")]):
        r = ref.inter_attention(*v[a][:2], *v[b][:2])
        np.testing.assert_array_equal(x[i * size : (i + 1) * size].reshape(-1, 2 * D), r)
    table, fc = weights["history"]["embedding"], weights["history"]["fc"]
    history = np.array([*table["h1"][1], 0]) @ fc["kernel"] + fc["bias"]  # h2 has id 0
    np.testing.assert_allclose(x[3 * size : 3 * size + C], np.maximum(history, 0))
    states = [v[name][k] for name in ("swipe", "tap", "browse") for k in (2, 3)]
    np.testing.assert_array_equal(x[3 * size + 2 * C :], np.concatenate(states))
    # Without attention between views, or with one view, the v's take the place of the r's.
    flat = np.concatenate([v[name][0].ravel() for name in ("swipe", "tap", "browse")])
    np.testing.assert_array_equal(group_vector(weights, 0, inter_view=False)[: 3 * size], flat)
    one = TINY.keep(["tap"])
    np.testing.assert_array_equal(group_vector(weights, 0, one)[:size], v["tap"][0].ravel())


def test_an_empty_view_leaves_zeros_and_row_0_of_a_table_is_never_seen():
    weights = random_weights(TINY)
    before = group_vector(weights, 1)
    size = TINY.length * 2 * D
    assert before[:size].any() and not before[size : 3 * size].any()  # r_sb; r_st and r_tb
    tap_states = before[3 * size + 2 * C + 2 * D :][: 2 * D]
    assert not tap_states.any()
    for source in TINY.sources:
        for table in weights[source]["embedding"].values():
            table[0] += 100
    np.testing.assert_array_equal(before, group_vector(weights, 1))
    weights["swipe"]["embedding"]["a"][2] += 1  # negative control: a row that is in use
    assert not np.array_equal(before, group_vector(weights, 1))


@pytest.mark.parametrize("reset_after", [False, True])
def test_forward_gives_one_logit_a_group_and_task(reset_after):
    weights = random_weights(TINY, reset_after=reset_after)
    exact = ref.forward(weights, tiny_inputs(), TINY, reset_after=reset_after)
    single = ref.forward(weights, tiny_inputs(), TINY, reset_after=reset_after, dtype=np.float32)
    assert list(exact) == ["realtime", "longterm"]
    for b in range(2):
        x = group_vector(weights, b)
        for name, task in weights["tasks"].items():
            first, last = task["layers"]
            y = np.maximum(x @ first["kernel"] + first["bias"], 0) @ last["kernel"] + last["bias"]
            np.testing.assert_allclose(exact[name][b], y[0])
    for name in exact:
        assert exact[name].shape == (2,) and single[name].dtype == np.float32
        np.testing.assert_allclose(single[name], exact[name], atol=1e-4)


def test_a_missing_source_drops_out():
    schema = replace(TINY.keep(["swipe", "browse", "profile"]), tasks=TINY.tasks[:1])
    width = TINY.length * 2 * D + C + 2 * 2 * D
    weights = random_weights(TINY, heads=width)
    inputs = {k: v for k, v in tiny_inputs().items() if k in schema.sources}
    assert np.isfinite(ref.forward(weights, inputs, schema)["realtime"]).all()


def test_weights_of_the_other_gru_are_refused():
    weights = random_weights(TINY, reset_after=False)
    with pytest.raises(ValueError, match="reset_after=True needs"):
        ref.forward(weights, tiny_inputs(), TINY, reset_after=True)


def test_losses_in_closed_form():
    logits = {"realtime": np.array([0.0, 0.0]), "longterm": np.array([math.log(3), 800.0])}
    labels = {"realtime": np.array([1, 0]), "longterm": np.array([0, 1])}
    loss = ref.losses(logits, labels)
    assert loss["realtime"] == pytest.approx(math.log(2))
    assert loss["longterm"] == pytest.approx(-math.log(1 / 4) / 2)  # p = 3/4 and p = 1
    assert loss["total"] == pytest.approx(loss["realtime"] + loss["longterm"])
    assert np.isfinite(ref.losses({"t": np.array([800.0])}, {"t": np.array([0])})["t"])
