"""A score changes when any id of any action changes: each view, first to last action, each column.

One batch holds a group and copies of it, each with one id changed. Some copies are left as they
are: they tell how far equal rows of a batch lie apart, and a change must be far beyond that.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.schema import Feature
from tests.intent.groups import random_fusion, random_groups, small_schema
from tests.support.variants import logits, make

UNCHANGED = 3  # copies of the group in front, and as many behind


@pytest.fixture
def float64():
    """Models built inside compute in float64."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def other(feature: Feature, value: int, least: int) -> int:
    """Another id of the feature."""
    return value + 1 if value + 1 < feature.rows else least if value > least else value - 1


def changes(schema, counts: dict[str, int]) -> list[tuple]:
    """(source, position or None, column, feature, least id) of every id that is to be changed."""
    found = []
    for view in schema.views:
        n = counts[view.name]
        for position in sorted({0, n // 2, n - 1} if n else set()):
            for column, feature in enumerate(view.features):
                least = int(column == view.marker_column)  # 0 there would end the window
                found.append((view.name, position, column, feature, least))
    for source in ("history", "profile"):
        for column, feature in enumerate(getattr(schema, source)):
            found.append((source, None, column, feature, 0))
    return found


def copies(schema, counts: dict[str, int]) -> tuple[dict, list[tuple]]:
    """Inputs: the unchanged copies, one row for each change, the unchanged copies again."""
    one, every = random_groups(schema, [counts]), changes(schema, counts)
    inputs = {k: np.repeat(v, len(every) + 2 * UNCHANGED, axis=0) for k, v in one.items()}
    for row, (source, position, column, feature, least) in enumerate(every, UNCHANGED):
        place = (row, column) if position is None else (row, position, column)
        value = other(feature, int(inputs[source][place]), least)
        assert value != inputs[source][place] and least <= value < feature.rows
        inputs[source][place] = value
    return inputs, every


def check(found: np.ndarray, every: list[tuple], far: float) -> None:
    """Every changed row differs from the unchanged ones in both tasks, by at least `far`."""
    same = np.concatenate([found[:UNCHANGED], found[-UNCHANGED:]])
    assert np.ptp(same, axis=0).max() < far / 10, "equal rows must give equal scores"
    moved = np.abs(found[UNCHANGED:-UNCHANGED] - same[0]).min(axis=1)
    still = [
        (source, position, feature.name)
        for (source, position, _, feature, _), by in zip(every, moved, strict=True)
        if by < far
    ]
    assert not still, f"these changed no score: {still}"


VIEWS = ("swipe", "tap", "browse")


def alive(schema, **settings) -> keras.Model:
    """A model through which any change passes: biases keep units with ReLU on."""
    sizes = {"action_width": 8, "context_width": 8, "branch_units": [16], "scale": 0.3}
    model = make(schema, **sizes, **settings)
    for layer in model.layers:
        for fc in (getattr(layer, "fc", None), *getattr(layer, "hidden", ())):
            if fc is not None:
                fc.bias.assign(np.full(fc.bias.shape, 1.5))
    return model


@pytest.mark.parametrize(
    "counts",
    [
        dict.fromkeys(VIEWS, 1),
        dict.fromkeys(VIEWS, 8),
        {"swipe": 8, "tap": 3, "browse": 1},
        {"swipe": 0, "tap": 5, "browse": 2},
    ],
    ids=lambda c: "-".join(map(str, c.values())),
)
@pytest.mark.parametrize("reset_after", [True, False])
def test_any_id_of_an_action_changes_the_score(counts, reset_after):
    schema = small_schema(length=8)
    model = alive(schema, reset_after=reset_after)
    inputs, every = copies(schema, counts)
    check(logits(model, inputs), every, far=1e-5)


def test_and_among_256_actions(float64):
    """One of 256 weighs little, less than float32 resolves: so float64."""
    schema = small_schema(length=256)
    score = tf.function(alive(schema))
    some = {"swipe": 255, "tap": 100, "browse": 2}
    for counts in (dict.fromkeys(VIEWS, 256), some):
        inputs, every = copies(schema, counts)
        check(np.stack(list(score(inputs).values()), axis=1), every, far=1e-13)


def test_what_follows_the_last_action_changes_nothing():
    """Negative control of the above: ids of a position that is no action (its marker is 0)."""
    schema = small_schema(length=8)
    model = make(schema)
    inputs, every = copies(schema, dict.fromkeys(VIEWS, 5))
    expected = logits(model, inputs)
    for view in schema.views:
        for column, feature in enumerate(view.features):
            if column != view.marker_column:
                inputs[view.name][:, 5:, column] = feature.rows - 1
    np.testing.assert_array_equal(logits(model, inputs), expected)


def test_early_fusion_reads_every_view_and_the_order():
    schema = small_schema(length=8)
    model = alive(schema, early_fusion=True)
    inputs, every = copies(schema, {"swipe": 3, "tap": 3, "browse": 2})  # all are among the 8
    order = random_fusion(schema, {k: v[:1] for k, v in inputs.items()})
    inputs["fusion"] = np.repeat(order, len(inputs["tap"]), axis=0)
    before = logits(model, inputs)
    check(before, every, far=1e-5)
    inputs["fusion"] = inputs["fusion"][:, [1, 0, *range(2, 8)]]
    assert np.abs(logits(model, inputs) - before)[:UNCHANGED].min() > 1e-5


def test_early_fusion_forgets_what_the_latest_crowd_out():
    """Six actions of each view are 18: the ten oldest are not among the last eight."""
    schema = small_schema(length=8)
    model = make(schema, early_fusion=True)
    inputs, every = copies(schema, dict.fromkeys(VIEWS, 6))
    order = random_fusion(schema, {k: v[:1] for k, v in inputs.items()})
    inputs["fusion"] = np.repeat(order, len(inputs["tap"]), axis=0)
    moved = np.abs(logits(model, inputs) - logits(model, inputs)[0]).max(axis=1)
    names = [view.name for view in schema.views]
    for (source, position, *_), by in zip(every, moved[UNCHANGED:-UNCHANGED], strict=True):
        if position is not None and 1 + names.index(source) * 8 + position not in order:
            assert by < 1e-6, (source, position)
