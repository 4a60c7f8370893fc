"""Any subset of the five sources (Tables 5 and 6) is a model, and reads nothing of the others.

A model without a source must score as the whole model does where that source says nothing: an empty
view, or ids 0 through a layer without bias, adds nothing to what the branches read.
"""

from __future__ import annotations

from itertools import combinations

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.training.step import make_scoring_step, pick_inputs
from tests.intent.groups import random_groups, small_schema
from tests.support.variants import SOURCES, by_path, hand_over, logits, make

SCHEMA = small_schema(length=3, largest=20)
COUNTS = [3, {"swipe": 3, "tap": 2, "browse": 1}, {"tap": 2}, {"swipe": 2, "browse": 3}, 0, 1]
SUBSETS = [c for size in range(1, 6) for c in combinations(SOURCES, size)]
VIEWS = {"swipe", "tap", "browse"}


@pytest.fixture(scope="module")
def whole() -> dict[bool, tuple]:
    """The model of all sources and its scores [B, 2], with and without inter-view attention."""
    found = {}
    for inter in (True, False):
        model = make(SCHEMA, inter_view=inter)
        for source in ("history", "profile"):
            bias = model.get_layer(f"{source}_context").fc.bias
            bias.assign(np.zeros(bias.shape))
        found[inter] = model, compiled(model)
    return found


def compiled(model: keras.Model):
    return tf.function(lambda inputs: tf.stack(list(model(inputs).values()), axis=1))


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    return random_groups(SCHEMA, COUNTS)


def test_there_are_31_subsets():
    assert len(set(SUBSETS)) == 31


@pytest.mark.parametrize("sources", SUBSETS, ids="-".join)
def test_a_source_left_out_is_as_if_it_said_nothing(whole, inputs, sources):
    model = make(SCHEMA, sources=list(sources))
    assert tuple(model.input) == sources
    # One view alone has no pair: its v is read, as without inter-view attention.
    like, score = whole[len(VIEWS & set(sources)) != 1]
    hand_over(like, model)
    tasks = ("realtime/", "longterm/")
    kept = {p: shape for p, shape in by_path(like).items() if p.split("_")[0] in sources}
    mine = {p: shape for p, shape in by_path(model).items() if not p.startswith(tasks)}
    assert mine == kept, "the weights of the sources that are there, and no others"

    left_out = [s for s in SOURCES if s not in sources]
    silent = inputs | {source: np.zeros_like(inputs[source]) for source in left_out}
    expected, got = score(silent).numpy(), logits(model, inputs)
    assert np.all(np.isfinite(got)) and np.ptp(got) > 1e-2
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    if left_out:  # negative control: the whole model does read them
        assert np.abs(score(inputs).numpy() - expected).max() > 1e-3


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_left_out_is_not_read_and_each_one_kept_is(inputs, source):
    """Data that carries all sources goes in; what is in the one left out does not matter."""
    kept = [s for s in SOURCES if s != source]
    model = make(SCHEMA, sources=kept)
    score = make_scoring_step(model, ["realtime", "longterm"])
    other = random_groups(SCHEMA, COUNTS, seed=1)
    before = score(pick_inputs(model, inputs)).numpy()
    changed = score(pick_inputs(model, inputs | {source: other[source]})).numpy()
    np.testing.assert_array_equal(changed, before)
    for name in kept:
        changed = score(pick_inputs(model, inputs | {name: other[name]})).numpy()
        assert np.any(changed != before), name
