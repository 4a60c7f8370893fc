"""Padding cut off a batch changes no score and no gradient, in any variant of the model."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.config import ModelConfig
from intent.models import dipn
from intent.models.losses import step_loss
from tests.intent.groups import random_groups, small_schema

SCHEMA = small_schema(length=8)
SIZES = {"hidden": 4, "action_width": 4, "context_width": 4, "branch_units": [6]}
COUNTS = [4, 0, {"swipe": 4, "tap": 3, "browse": 1}, {"tap": 3}, {"swipe": 2, "browse": 4}, 1]
LONGEST = 4
LABELS = np.array([[0, 1], [1, 1], [0, 0], [0, 1], [1, 1], [0, 0]])
VARIANTS = [
    {},
    {"intra_view": False},
    {"inter_view": False},
    {"intra_view": False, "inter_view": False},
    {"sources": ["browse"]},
    {"position_width": None},
    {"attention_scale": "length"},
]


def make(**variant) -> keras.Model:
    """The small model with weights large enough for every part to show in the logits."""
    model = dipn.build(SCHEMA, ModelConfig(**{**SIZES, **variant}))
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(0, 0.5, w.shape))
    return model


def cut(inputs: dict[str, np.ndarray], positions: int) -> dict[str, np.ndarray]:
    return {k: v[:, :positions] if v.ndim == 3 else v for k, v in inputs.items()}


def learn(model: keras.Model, inputs) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits [B, tasks], and the gradient of the loss by weight."""
    with tf.GradientTape() as tape:
        logits = model({name: inputs[name] for name in model.input})
        loss = step_loss(logits, LABELS, np.ones(6), 6, list(logits))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    named = zip(model.trainable_variables, gradients, strict=True)
    gradients = {v.path: tf.convert_to_tensor(g).numpy() for v, g in named}
    return np.stack(list(logits.values()), 1), gradients


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_and_gradients_are_those_of_full_windows(variant):
    model, inputs = make(**variant), random_groups(SCHEMA, COUNTS)
    logits, gradients = learn(model, inputs)
    short_logits, short_gradients = learn(model, cut(inputs, LONGEST))
    np.testing.assert_allclose(short_logits, logits, rtol=1e-5, atol=1e-5)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(
            short_gradients[path], gradient, rtol=1e-4, atol=1e-5, err_msg=path
        )


@pytest.mark.parametrize("variant", [{}, {"inter_view": False}])
def test_control_an_action_cut_off_changes_the_scores_of_its_group(variant):
    model, inputs = make(**variant), random_groups(SCHEMA, COUNTS)
    full, short = (
        np.stack(list(model({k: ids[k] for k in model.input}).values()), 1)
        for ids in (inputs, cut(inputs, LONGEST - 1))
    )
    assert np.all(np.abs(full[0] - short[0]) > 1e-4)
    np.testing.assert_allclose(short[[1, 5]], full[[1, 5]], atol=1e-5)  # they lost only padding


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_the_shortest_window_of_all_and_a_batch_where_nobody_did_anything():
    model, inputs = make(), random_groups(SCHEMA, [1, {"tap": 1}, 0])
    expected, got = model(inputs), model(cut(inputs, 1))
    for task in expected:
        np.testing.assert_allclose(got[task], expected[task], rtol=1e-5, atol=1e-5)


def test_a_saved_model_takes_short_windows_too(tmp_path):
    model, inputs = make(), cut(random_groups(SCHEMA, COUNTS), LONGEST)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    for task, expected in model(inputs).items():
        np.testing.assert_array_equal(again(inputs)[task], expected)


def test_one_graph_for_all_lengths_gives_the_same_scores():
    """A caller who compiles with an open length, once, loses speed but no score."""
    model, inputs = make(sources=["tap"]), {"tap": random_groups(SCHEMA, COUNTS)["tap"]}
    specs = {n: tf.TensorSpec((None, *t.shape[1:]), t.dtype) for n, t in model.input.items()}
    compiled = tf.function(model, input_signature=[specs])
    for positions in (LONGEST, SCHEMA.length):
        got = compiled(cut(inputs, positions))
        for task, expected in model(inputs).items():
            np.testing.assert_allclose(got[task], expected, rtol=1e-5, atol=1e-5)


def test_early_fusion_and_a_static_batch_keep_the_full_length():
    """The order of fusion counts positions of full windows; a device takes one size."""
    fused = dipn.build(SCHEMA, ModelConfig(**SIZES, early_fusion=True))
    single = dipn.build(SCHEMA, ModelConfig(**SIZES), batch=1)
    for model in (fused, single):
        assert model.input["tap"].shape[1] == SCHEMA.length
    with pytest.raises(ValueError, match="expected shape"):
        inputs = cut(random_groups(SCHEMA, [1]), 4)
        single(inputs)
