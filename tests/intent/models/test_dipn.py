from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import intent.models
from intent.config import ModelConfig
from intent.errors import IntentError
from intent.models import dipn
from intent.models.losses import step_loss
from intent.schema import PAPER
from tests.intent.groups import random_fusion, random_groups, small_schema

SCHEMA = small_schema(length=8)
SIZES = {"hidden": 4, "action_width": 4, "context_width": 4, "branch_units": [6]}
SIZES |= {"position_width": None, "attention_scale": "none"}  # the paper's to the letter
COUNTS = [8, 0, {"swipe": 8, "tap": 3, "browse": 1}, {"tap": 5}, {"swipe": 2, "browse": 6}, 1]
TASKS = [t.name for t in SCHEMA.tasks]


def make(schema=SCHEMA, **variant) -> keras.Model:
    keras.utils.set_random_seed(0)
    return dipn.build(schema, ModelConfig(**{**SIZES, **variant}))


@cache
def full() -> keras.Model:
    """The whole model, for tests that only look at it."""
    return make()


def layers(model: keras.Model) -> set[str]:
    return {layer.name for layer in model.layers}


def randomize(model: keras.Model, seed: int = 0) -> None:
    """Weights large enough for every part to show in the logits."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        w.assign(rng.normal(0, 0.5, w.shape))


def logits(model, inputs) -> dict[str, np.ndarray]:
    return {task: x.numpy() for task, x in model(inputs).items()}


def test_inputs_and_outputs_are_the_contract():
    model = make()
    assert {n: (t.shape, t.dtype) for n, t in model.input.items()} == {
        "swipe": ((None, None, 14), "uint8"),
        "tap": ((None, None, 3), "uint8"),  # 40 ids here; the paper's dictionary needs 16 bits
        "browse": ((None, None, 6), "uint8"),
        "history": ((None, 18), "uint8"),
        "profile": ((None, 6), "uint8"),
    }
    out = logits(model, random_groups(SCHEMA, COUNTS))
    assert {t: (x.shape, x.dtype) for t, x in out.items()} == {
        "realtime": ((6,), np.float32),
        "longterm": ((6,), np.float32),
    }
    assert dipn.input_names(SCHEMA, ModelConfig()) == tuple(model.input)


def test_the_paper_s_size():
    """256 actions, d = 32: the branches read 3 x 256 x 64 attended values, states and context."""
    model = dipn.build(PAPER, ModelConfig(position_width=None))
    assert model.input["browse"].dtype == "uint16"
    assert model.get_layer("features").output.shape == (None, 3 * 256 * 64 + 2 * 32 + 6 * 32)
    assert model.count_params() == 7_044_092


def test_a_narrow_position_costs_the_branches_a_sixteenth():
    """4 of 64 numbers of a position are laid flat; the same matrix at every position."""
    model = dipn.build(PAPER, ModelConfig())
    assert model.count_params() == 1_146_620
    assert model.get_layer("features").output.shape == (None, 3 * 256 * 4 + 2 * 32 + 6 * 32)
    narrow = {
        n: model.get_layer(f"{n}_narrow") for n in ("swipe_browse", "swipe_tap", "tap_browse")
    }
    assert all([w.shape for w in layer.weights] == [(64, 4)] for layer in narrow.values())
    first = [model.get_layer(task).hidden[0].kernel.shape for task in TASKS]
    assert first == 2 * [(3 * 256 * 4 + 256, 64)]


def test_a_position_that_is_narrowed_keeps_its_place():
    """Order still matters: what a position holds is not pooled with what others hold."""
    model = make(position_width=2)
    randomize(model)
    r, flat = model.get_layer("swipe_tap_inter_view").output, model.get_layer("swipe_tap_flat")
    inner = keras.Model(model.input, [r, flat.output])
    r_B, flat_B = inner(random_groups(SCHEMA, [8, 3, 0]))
    kernel = model.get_layer("swipe_tap_narrow").kernel.numpy()
    expected = (r_B.numpy() @ kernel).reshape(3, -1)
    np.testing.assert_allclose(flat_B, expected, rtol=1e-5, atol=1e-6)
    assert np.any(expected[0] != 0) and np.all(expected[2] == 0)


def test_the_batch_may_be_static():
    model = dipn.build(SCHEMA, ModelConfig(**SIZES), batch=1)
    assert all(t.shape[0] == 1 for t in [*model.input.values(), *model.output.values()])


def test_an_action_changed_changes_the_score_and_only_its_group():
    model = make()
    randomize(model)
    inputs = random_groups(SCHEMA, [8, 8])
    before = logits(model, inputs)
    for view in SCHEMA.views:
        changed = {k: v.copy() for k, v in inputs.items()}
        ids = changed[view.name]
        column = view.column("page")
        ids[1, 3, column] = ids[1, 3, column] % 30 + 1
        after = logits(model, changed)
        for task in TASKS:
            assert after[task][0] == before[task][0]
            assert after[task][1] != before[task][1]


def test_more_padding_does_not_change_a_score():
    """Lengths 8 and 16 with the same weights; rows of the head for padded positions are garbage."""
    short, long = make(), make(small_schema(length=16))
    randomize(short)
    randomize(long, seed=1)
    flat, width = 8 * 2 * SIZES["hidden"], 2 * 8 * 2 * SIZES["hidden"]
    for a, b in zip(short.weights, long.weights, strict=True):
        if a.shape == b.shape:
            b.assign(a)
            continue
        kernel = b.numpy()  # the first layer of a branch: [3 flattened views, the rest]
        for pair in range(3):
            kernel[pair * width : pair * width + flat] = a.numpy()[pair * flat : (pair + 1) * flat]
        kernel[3 * width :] = a.numpy()[3 * flat :]
        b.assign(kernel)
    inputs = random_groups(SCHEMA, COUNTS)
    padded = {
        k: np.pad(v, [(0, 0), (0, 8), (0, 0)]) if v.ndim == 3 else v for k, v in inputs.items()
    }
    expected, got = logits(short, inputs), logits(long, padded)
    for task in TASKS:
        np.testing.assert_allclose(got[task], expected[task], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "variant", [{}, {"reset_after": False}, {"early_fusion": True}, {"inter_view": False}]
)
def test_gradients_are_finite_with_empty_views_and_zero_for_row_0(variant):
    model = make(**variant)
    randomize(model)
    inputs = random_groups(SCHEMA, COUNTS)
    inputs["fusion"] = random_fusion(SCHEMA, inputs)
    inputs = {name: inputs[name] for name in model.input}
    labels = np.array([[0, 1], [1, 1], [0, 0], [0, 1], [1, 1], [0, 0]])
    with tf.GradientTape() as tape:
        loss = step_loss(model(inputs), labels, np.ones(6), 6, TASKS)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    tables = 0
    for variable, gradient in zip(variables, gradients, strict=True):
        gradient = tf.convert_to_tensor(gradient).numpy()
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(gradient != 0), variable.path
        if "/tables/" in variable.path:
            assert np.all(gradient[0] == 0), variable.path
            tables += 1
    assert tables == 14 + 3 + 6 + 18 + 6


@pytest.mark.parametrize("variant", [{}, {"early_fusion": True, "reset_after": False}])
def test_a_saved_model_gives_bit_equal_scores(tmp_path, variant):
    model = make(**variant)
    randomize(model)
    inputs = random_groups(SCHEMA, COUNTS)
    inputs["fusion"] = random_fusion(SCHEMA, inputs)
    inputs = {name: inputs[name] for name in model.input}
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    expected, got = logits(model, inputs), logits(again, inputs)
    for task in TASKS:
        np.testing.assert_array_equal(got[task], expected[task])


def test_no_inter_view_attention_flattens_the_views():
    without = make(inter_view=False)
    pairs = {"swipe_browse", "swipe_tap", "tap_browse"}
    assert layers(full()) - layers(without) == {f"{p}_inter_view" for p in pairs} | {
        f"{p}_flat" for p in pairs
    }
    assert layers(without) - layers(full()) == {"swipe_flat", "tap_flat", "browse_flat"}
    assert full().count_params() == without.count_params()


def test_no_intra_view_attention_removes_w_a_of_every_view():
    without = make(intra_view=False)
    removed = {f"{v.name}_intra_view" for v in SCHEMA.views}
    assert layers(full()) - layers(without) == removed and not layers(without) - layers(full())
    assert full().count_params() - without.count_params() == 3 * 8 * 4


def test_no_attention_at_all_concatenates_the_states():
    model = make(intra_view=False, inter_view=False)
    assert not [name for name in layers(model) if name.endswith("_view")]
    assert "swipe_flat" in layers(model)


def test_early_fusion_has_one_bigru_and_one_intra_view_attention():
    model = make(early_fusion=True)
    assert {n for n in layers(model) if n.endswith("bigru")} == {"fusion_bigru"}
    assert {n for n in layers(model) if n.endswith("_view")} == {"fusion_intra_view"}
    assert model.get_layer("features").output.shape == (None, 8 * 8 + 4 + 4 + 2 * 4)
    assert dipn.input_names(SCHEMA, ModelConfig(early_fusion=True))[-1] == "fusion"


def test_early_fusion_of_one_view_is_that_view_s_model():
    schema = SCHEMA.keep(["tap"])
    fused, plain = (make(schema, early_fusion=e) for e in (True, False))
    for a, b in zip(plain.weights, fused.weights, strict=True):
        b.assign(a)
    inputs = random_groups(schema, [8, 3, 0])
    both = {**inputs, "fusion": random_fusion(schema, inputs)}
    for task in TASKS:
        np.testing.assert_allclose(
            logits(fused, both)[task], logits(plain, inputs)[task], rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        (["swipe", "tap", "history", "profile"], {"swipe_tap_inter_view"}),
        (["tap", "browse"], {"tap_browse_inter_view"}),
        (["browse", "swipe"], {"swipe_browse_inter_view"}),
        (["browse"], set()),
        (["history", "profile"], set()),
        (["profile"], set()),
    ],
)
def test_a_missing_source_drops_out_with_its_pairs(sources, kept):
    model = make(sources=sources)
    assert set(model.input) == set(sources)
    assert {n for n in layers(model) if n.endswith("inter_view")} == kept
    for source in ("swipe", "tap", "browse", "history", "profile"):
        used = any(w.path.startswith(f"{source}_") for w in model.weights)
        assert used == (source in sources)
    reduced = SCHEMA.keep(sources)
    out = logits(model, random_groups(reduced, COUNTS))
    assert all(np.all(np.isfinite(x)) for x in out.values())


def test_a_schema_without_a_view_gives_the_model_without_that_source():
    """One view has no pair: its v is flattened."""
    by_schema, by_config = make(SCHEMA.keep(["browse"])), make(sources=["browse"])
    assert layers(by_schema) == layers(by_config) == {
        "browse", "browse_embedding", "browse_bigru", "browse_intra_view", "browse_flat",
        "features", "realtime", "longterm",
    }  # fmt: skip


def test_a_single_task_has_a_single_branch():
    one = make(tasks=["realtime"])
    assert set(one.output) == {"realtime"}
    assert layers(full()) - layers(one) == {"longterm"}


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"sources": ["swipes"]}, "unknown source"),
        ({"sources": []}, "leaves no source"),
        ({"tasks": ["soon"]}, "expected at least one of"),
        ({"tasks": []}, "expected at least one of"),
        ({"sources": ["tap"], "early_fusion": True}, "merges every view of the data"),
    ],
)
def test_a_wrong_variant_is_an_error_of_the_user(variant, message):
    with pytest.raises(IntentError, match=message):
        make(**variant)


def test_the_same_seed_gives_the_same_weights():
    for a, b in zip(make().weights, full().weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_declared_shapes_and_types_are_the_computed_ones():
    """Layers that declare them spare Keras a trace; they must not lie."""
    model = full()
    inputs = random_groups(SCHEMA, COUNTS)
    for name in ("tap_embedding", "tap_bigru", "history_context"):
        declared = model.get_layer(name).output
        inner = keras.Model(model.input, declared)
        computed = inner(inputs)
        pairs = zip(tf.nest.flatten(declared), tf.nest.flatten(computed), strict=True)
        for symbol, value in pairs:
            for declared_size, size in zip(symbol.shape[1:], value.shape[1:], strict=True):
                assert declared_size in (None, size)  # None: positions, of which there may be fewer
            assert symbol.dtype == value.dtype.name


def test_mixed_precision_gives_nearly_the_same_logits():
    inputs = random_groups(SCHEMA, COUNTS)
    exact = make()
    randomize(exact)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = make()
    finally:
        keras.config.set_dtype_policy(before)
    mixed.set_weights(exact.get_weights())
    for task, x in logits(mixed, inputs).items():
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, logits(exact, inputs)[task], atol=0.1)


def test_layers_import_no_backend():
    """keras.ops only, so that the same files run on another backend."""
    for file in Path(intent.models.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            roots = {m.split(".")[0] for m in modules}
            assert not roots & {"tensorflow", "torch", "jax"}, file
