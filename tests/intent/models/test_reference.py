"""The Keras model against the independent NumPy reference of equations (1) to (6)."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.config import ModelConfig
from intent.models import dipn
from intent.models.losses import step_loss
from tests.intent.groups import random_groups, small_schema
from tests.reference import dipn_numpy
from tests.reference.from_model import reference_weights

SCHEMA = small_schema(length=7, largest=12)
SIZES = {"hidden": 5, "action_width": 6, "context_width": 4, "branch_units": [9]}
WIDTHS = [None, 3]  # of a position that is laid flat: the paper's, and a narrow one
COUNTS = [
    7,
    0,
    {"swipe": 7, "tap": 3, "browse": 1},
    {"tap": 7},
    {"swipe": 2, "browse": 6},
    {"browse": 1},
    3,
]


@pytest.fixture
def float64():
    """Models built inside compute in float64."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def randomize(model: keras.Model, seed: int = 0) -> None:
    """Weights of unit scale, biases and row 0 of the tables included, so that nothing hides."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        w.assign(rng.normal(0, 0.5, w.shape))


def reference_logits(model, inputs, schema, config, dtype):
    return dipn_numpy.forward(
        reference_weights(model, schema, config),
        inputs,
        schema,
        reset_after=config.reset_after,
        intra_view=config.intra_view,
        inter_view=config.inter_view,
        attention_scale=config.attention_scale,
        dtype=dtype,
    )


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("intra_view", [True, False])
@pytest.mark.parametrize("inter_view", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_logits_float32(reset_after, intra_view, inter_view, width):
    config = ModelConfig(
        **SIZES,
        reset_after=reset_after,
        intra_view=intra_view,
        inter_view=inter_view,
        position_width=width,
    )
    model = dipn.build(SCHEMA, config)
    randomize(model)
    inputs = random_groups(SCHEMA, COUNTS)
    expected = reference_logits(model, inputs, SCHEMA, config, np.float32)
    got = model(inputs)
    for task, logits in expected.items():
        assert np.abs(logits).max() > 0.1
        np.testing.assert_allclose(np.array(got[task]), logits, rtol=1e-5, atol=1e-5)


def test_logits_with_attention_scaled_by_the_length():
    config = ModelConfig(**SIZES, attention_scale="length")
    model = dipn.build(SCHEMA, config)
    randomize(model)
    inputs = random_groups(SCHEMA, COUNTS)
    expected = reference_logits(model, inputs, SCHEMA, config, np.float32)
    unscaled = config.model_copy(update={"attention_scale": "none"})
    paper = reference_logits(model, inputs, SCHEMA, unscaled, np.float32)
    got = model(inputs)
    for task, logits in expected.items():
        np.testing.assert_allclose(np.array(got[task]), logits, rtol=1e-5, atol=1e-5)
        assert np.abs(logits - paper[task]).max() > 1e-2  # the control


@pytest.mark.parametrize("reset_after", [True, False])
def test_logits_in_the_paper_s_window(reset_after):
    """256 positions; lengths at both ends and in between, each view of its own."""
    schema = small_schema(length=256, largest=12)
    config = ModelConfig(**SIZES, reset_after=reset_after)
    model = dipn.build(schema, config)
    randomize(model)
    inputs = random_groups(schema, [{"swipe": 256, "tap": 255, "browse": 128}, {"tap": 256}])
    expected = reference_logits(model, inputs, schema, config, np.float32)
    got = model(inputs)
    for task, logits in expected.items():
        assert np.abs(logits).max() > 0.1
        np.testing.assert_allclose(np.array(got[task]), logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "sources", [["browse"], ["swipe", "tap", "profile"], ["tap", "browse"], ["history"]]
)
def test_logits_of_a_subset_of_sources(sources):
    config = ModelConfig(**SIZES, sources=sources)
    schema = dipn.reduce_schema(SCHEMA, config)
    model = dipn.build(SCHEMA, config)
    randomize(model)
    inputs = random_groups(schema, COUNTS)
    expected = reference_logits(model, inputs, schema, config, np.float32)
    got = model(inputs)
    for task, logits in expected.items():
        np.testing.assert_allclose(np.array(got[task]), logits, rtol=1e-5, atol=1e-5)


def test_the_comparison_notices_a_wrong_gru():
    """Negative control: the two GRU forms are further apart than the tolerance."""
    config = ModelConfig(**SIZES, reset_after=True)
    model = dipn.build(SCHEMA, config)
    randomize(model)
    inputs = random_groups(SCHEMA, COUNTS)
    weights = reference_weights(model, SCHEMA, config)
    before = dipn_numpy.forward(weights, inputs, SCHEMA, reset_after=True)
    for view in SCHEMA.views:
        for gru in weights[view.name]["gru"].values():
            gru["bias"] = gru.pop("input_bias") + gru.pop("recurrent_bias")
    after = dipn_numpy.forward(weights, inputs, SCHEMA, reset_after=False)
    assert np.abs(before["realtime"] - after["realtime"]).max() > 1e-2


@pytest.mark.parametrize(("reset_after", "width"), [(True, 3), (False, None)])
def test_gradients_against_finite_differences(float64, reset_after, width):
    """d(6)/dw of the model equals a central difference of the reference's loss, per kind of w."""
    schema = small_schema(length=4, largest=5)
    sizes = {**SIZES, "hidden": 3, "position_width": width}
    config = ModelConfig(**sizes, reset_after=reset_after)
    model = dipn.build(schema, config)
    randomize(model)
    inputs = random_groups(schema, [4, 0, {"swipe": 3, "tap": 1}, {"tap": 2, "browse": 4}])
    labels = np.array([[0, 1], [1, 1], [0, 0], [1, 0]], np.uint8)
    tasks = [t.name for t in schema.tasks]

    with tf.GradientTape() as tape:
        loss = step_loss(model(inputs), labels, np.ones(4), 4, tasks)
    values = [v.value for v in model.trainable_variables]
    gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, values)]

    def reference_loss() -> float:
        logits = reference_logits(model, inputs, schema, config, np.float64)
        return dipn_numpy.losses(logits, dict(zip(tasks, labels.T, strict=True)))["total"]

    np.testing.assert_allclose(float(loss), reference_loss(), rtol=1e-12)
    rng, step, seen = np.random.default_rng(1), 1e-6, 0
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        largest = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        somewhere = tuple(rng.integers(0, n) for n in gradient.shape)
        for place in {tuple(map(int, largest)), tuple(map(int, somewhere))}:
            value = variable.numpy()
            ends = []
            for sign in (1, -1):
                moved = value.copy()
                moved[place] += sign * step
                variable.assign(moved)
                ends.append(reference_loss())
            variable.assign(value)
            numeric = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(
                gradient[place], numeric, rtol=1e-5, atol=1e-8, err_msg=variable.path
            )
            seen += abs(numeric) > 1e-6
    assert seen > len(gradients) / 2
