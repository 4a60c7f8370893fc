"""Attention as it is returned is the attention that the model computes with."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from intent.config import ModelConfig
from intent.evaluation.attention import attention_of, inter_name
from intent.models import dipn
from tests.intent.groups import lengths, random_fusion, random_groups, small_schema

SCHEMA = small_schema(length=8)
SIZES = {"hidden": 4, "action_width": 4, "context_width": 4, "branch_units": [6]}
COUNTS = [8, 0, {"swipe": 8, "tap": 3, "browse": 1}, {"tap": 3}, {"swipe": 2, "browse": 4}]
PAIRS = set(dipn.PAIRS)


def make(**variant) -> keras.Model:
    """The small model with weights so large that no attention is even."""
    model = dipn.build(SCHEMA, ModelConfig(**{**SIZES, **variant}))
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(0, 1, w.shape))
    return model


def groups() -> dict[str, np.ndarray]:
    inputs = random_groups(SCHEMA, COUNTS)
    return inputs | {"fusion": random_fusion(SCHEMA, inputs)}


def between(model: keras.Model, name: str, inputs) -> list[np.ndarray]:
    """What goes into a layer and, last, what comes out."""
    layer = model.get_layer(name)
    inner = keras.Model(model.input, [*layer.input, layer.output])
    return [np.asarray(t) for t in inner({n: inputs[n] for n in model.input})]


@pytest.mark.parametrize(
    ("variant", "intra", "inter"),
    [
        ({}, {"swipe", "tap", "browse"}, PAIRS),
        ({"intra_view": False}, set(), PAIRS),
        ({"inter_view": False}, {"swipe", "tap", "browse"}, set()),
        ({"intra_view": False, "inter_view": False}, set(), set()),
        ({"early_fusion": True}, {"fusion"}, set()),
        ({"sources": ["tap", "browse", "history"]}, {"tap", "browse"}, {("tap", "browse")}),
        ({"sources": ["browse"]}, {"browse"}, set()),
        ({"sources": ["profile"]}, set(), set()),
        ({"tasks": ["longterm"]}, {"swipe", "tap", "browse"}, PAIRS),
    ],
)
def test_every_variant_gives_what_it_has(variant, intra, inter):
    model, inputs = make(**variant), groups()
    found = attention_of(model, inputs)
    assert set(found.intra) == intra and set(found.inter) == inter
    for view, a in found.intra.items():
        h, _, real, v = between(model, f"{view}_intra_view", inputs)
        assert (a[~real] == 0).all()
        np.testing.assert_allclose(a.sum(axis=1), real.any(axis=1), atol=1e-6)
        scaled = h * a[..., None]
        some = np.abs(scaled) > 1e-4  # equation (3), which an option may scale by the length
        ratio = (v / np.where(some, scaled, np.nan))[some[..., 0].any(axis=1)]
        assert np.nanstd(ratio, axis=(1, 2)).max() < 1e-3
    for pair, (of_v, of_u) in found.inter.items():
        v, v_real, u, u_real, r = between(model, inter_name(pair), inputs)
        assert (of_v * ~v_real[:, None] == 0).all() and (of_u * ~u_real[:, None] == 0).all()
        both = (v_real & u_real)[..., None]
        np.testing.assert_allclose((of_v @ v) * (of_u @ u) * both, r, rtol=1e-4, atol=1e-5)
        wrong = (of_u @ v) * (of_v @ u) * both  # control: the two are not the same thing
        assert not np.allclose(wrong, r, rtol=1e-4, atol=1e-5)


def test_neither_the_batch_nor_its_padding_changes_it():
    model, inputs = make(), groups()
    whole = attention_of(model, inputs)
    for row in (2, 4):
        one = {n: a[row : row + 1] for n, a in inputs.items()}
        longest = max(int(n[row]) for n in lengths(SCHEMA, inputs))
        cut = {n: a[:, :longest] if a.ndim == 3 else a for n, a in one.items()}
        for given, n in ((one, SCHEMA.length), (cut, longest)):
            found = attention_of(model, given)
            for view, a in found.intra.items():
                np.testing.assert_allclose(a[0], whole.intra[view][row, :n], atol=1e-6)
            for pair, both in found.inter.items():
                for got, expected in zip(both, whole.inter[pair], strict=True):
                    np.testing.assert_allclose(got[0], expected[row, :n, :n], atol=1e-5)


def test_a_loaded_model_attends_as_before(tmp_path):
    model, inputs = make(), groups()
    model.save(tmp_path / "model.keras")
    before, again = (
        attention_of(m, inputs)
        for m in (model, keras.saving.load_model(tmp_path / "model.keras", compile=False))
    )
    for view, a in before.intra.items():
        np.testing.assert_array_equal(again.intra[view], a)
    for pair, both in before.inter.items():
        np.testing.assert_array_equal(np.stack(again.inter[pair]), np.stack(both))
