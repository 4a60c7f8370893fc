"""The baselines that are networks: contract, masks, short windows, saving."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from intent import models
from intent.config import ModelConfig
from intent.errors import IntentError, UsageError
from intent.models.sources import COUNTED, TAKES, reduce_schema
from tests.intent.groups import random_groups, small_schema

SCHEMA = small_schema(length=24)
KINDS = ["rnn_dnn", "lstm", "cnn"]
SIZES = {"hidden": 4, "action_width": 5, "context_width": 3, "branch_units": [6]}
COUNTS = [24, 0, 1, 5, 19, 3]
TASKS = [t.name for t in SCHEMA.tasks]


def make(kind: str, **settings) -> keras.Model:
    """Weights large enough for every part to show in the logits."""
    model = models.build(SCHEMA, ModelConfig(kind=kind, **SIZES, **settings))
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(0, 0.5, w.shape))
    return model


def logits(model: keras.Model, inputs) -> np.ndarray:
    found = model({name: inputs[name] for name in model.input}, training=False)
    return np.stack([np.asarray(x) for x in found.values()], axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_and_outputs_are_those_of_the_loop(kind):
    model, inputs = make(kind), random_groups(SCHEMA, COUNTS)
    assert list(model.input) == ["browse", "history", "profile"] and list(model.output) == TASKS
    whole = logits(model, inputs)
    assert whole.shape == (6, 2) and np.isfinite(whole).all()
    for source in model.input:  # each of them is read
        other = {**inputs, source: random_groups(SCHEMA, COUNTS, seed=1)[source]}
        assert np.abs(logits(model, other) - whole).max() > 1e-3, source


@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_matter(kind):
    model, inputs = make(kind), random_groups(SCHEMA, COUNTS)
    whole, view = logits(model, inputs), SCHEMA.view("browse")
    ids = inputs["browse"].copy()
    padding = ids[:, :, view.marker_column] == 0
    noise = np.random.default_rng(1).integers(1, 5, ids.shape)
    noise[:, :, view.marker_column] = 0
    ids[padding] = noise[padding]
    np.testing.assert_array_equal(logits(model, {**inputs, "browse": ids}), whole)
    # So it may be cut off, though kernels may then be wider than the window.
    for row, count in enumerate(COUNTS):
        one = {name: x[[row]] for name, x in inputs.items()}
        one["browse"] = one["browse"][:, : max(count, 1)]
        np.testing.assert_allclose(logits(model, one)[0], whole[row], rtol=1e-4, atol=1e-4)
    ids[:, 0, view.marker_column] = 1  # control
    assert np.abs(logits(model, {**inputs, "browse": ids}) - whole).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_order_matters_to_a_sequence_model(kind):
    model, inputs = make(kind), random_groups(SCHEMA, [24])
    whole = logits(model, inputs)
    turned = {**inputs, "browse": inputs["browse"][:, ::-1]}
    assert np.abs(logits(model, turned) - whole).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_says_the_same_to_the_bit(kind, tmp_path):
    model, inputs = make(kind), random_groups(SCHEMA, COUNTS)
    model.save(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits(again, inputs), logits(model, inputs))


def test_the_cnn_is_the_post_s():
    model = models.build(SCHEMA, ModelConfig(kind="cnn"))
    layers = model.get_layer("browse_kernels").convolutions
    sizes = [(layer.kernel_size[0], layer.filters) for layer in layers]
    assert sizes == [(3, 256), (7, 128), (11, 64), (15, 64), (19, 64)]


def test_the_lstm_and_the_rnn_are_as_wide_as_the_bi_gru_of_dipn():
    model = models.build(SCHEMA, ModelConfig(kind="lstm", sources=["browse"]))
    assert model.get_layer("browse_lstm").output.shape == (None, 64)
    model = models.build(SCHEMA, ModelConfig(kind="rnn_dnn", sources=["browse"]))
    assert model.get_layer("features").output.shape == (None, 64)


def test_sources_may_be_named_and_a_sequence_is_needed():
    model = models.build(SCHEMA, ModelConfig(kind="cnn", sources=["tap", "swipe"], **SIZES))
    assert set(model.input) == {"tap", "swipe"}
    with pytest.raises(IntentError, match="model.kind=lstm reads a sequence.*name a view"):
        models.build(SCHEMA, ModelConfig(kind="lstm", sources=["history"]))
    with pytest.raises(IntentError, match="reads a sequence"):
        models.build(SCHEMA.keep(["tap", "profile"]), ModelConfig(kind="rnn_dnn"))
    one = models.build(SCHEMA, ModelConfig(kind="rnn_dnn", tasks=["longterm"], **SIZES))
    assert list(one.output) == ["longterm"]


def test_what_each_kind_takes_by_default():
    for kind, sources in TAKES.items():
        assert set(reduce_schema(SCHEMA, ModelConfig(kind=kind)).sources) == set(sources)
        poorer = reduce_schema(SCHEMA.keep(["swipe", "history"]), ModelConfig(kind=kind))
        assert set(poorer.sources) == {"swipe", "history"} & set(sources)
    assert reduce_schema(SCHEMA, ModelConfig()) == SCHEMA


def test_a_kind_that_is_no_network_and_a_variant_of_another_kind_are_refused():
    for kind in COUNTED:
        with pytest.raises(IntentError, match=f"model.kind={kind} is no network"):
            models.build(SCHEMA, ModelConfig(kind=kind))
    with pytest.raises(UsageError, match="early_fusion is a variant of DIPN"):
        models.build(SCHEMA, ModelConfig(kind="cnn", early_fusion=True))
