"""Session features against the plain reference, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest

from intent.baselines import features
from intent.baselines.features import session_features
from intent.schema import DAY_MS, PAPER
from tests.reference import session_features as reference
from tests.support.session_inputs import few_names, random_inputs

SCHEMA = few_names()
TOPS = {  # names that are counted by themselves: all there are, unknown ones among them
    f"{v.name}.{f.name}": f.rows - 1 for v in SCHEMA.views for f in v.features if f.unknown
}


def actions(inputs: dict, view, group: int, at: int) -> list[dict]:
    ids, times = inputs[view.name][group], inputs[f"{view.name}_times"][group]
    return [
        {f.name: int(row[i]) for i, f in enumerate(view.features)} | {"ago": int(at - time)}
        for row, time in zip(ids, times, strict=True)
        if row[view.marker_column]
    ]


@pytest.mark.parametrize("view", SCHEMA.views, ids=lambda v: v.name)
def test_a_view_agrees_with_the_plain_reference(view):
    inputs, at = random_inputs(SCHEMA, groups=60)
    made = session_features(inputs, at, SCHEMA.keep([view.name]))
    place = {name: i for i, name in enumerate(made.names)}
    for group in range(len(at)):
        seen = actions(inputs, view, group, at[group])
        expected = reference.VIEWS[view.name](seen, TOPS)
        assert set(expected) | {"time.hour", "time.weekday"} == set(place)
        found = made.values[group, [place[name] for name in expected]]
        values = np.array(list(expected.values()), np.float32)
        same = np.isclose(found, values, rtol=1e-4, atol=1e-5, equal_nan=True)
        wrong = [n for n, ok in zip(expected, same, strict=True) if not ok]
        assert not wrong, (group, wrong[:5], found[~same][:5], values[~same][:5])


def test_time_history_and_profile():
    inputs, _ = random_inputs(SCHEMA, groups=3)
    inputs["history"][0, :2] = 0, 1
    at = np.array([0, 3 * DAY_MS + 6 * 3_600_000, 4 * DAY_MS - 1])  # 1970-01-01 was a Thursday
    made = session_features(inputs, at, SCHEMA.keep(["history", "profile"]))
    found = dict(zip(made.names, made.values.T, strict=True))
    np.testing.assert_array_equal(found["time.weekday"], [3, 6, 6])
    np.testing.assert_allclose(found["time.hour"], [0, 6, 24], atol=1e-5)
    assert np.isnan(found["collect_1w"][0]) and found["collect_2w"][0] == 0
    np.testing.assert_array_equal(found["profile.gender"], inputs["profile"][:, 1])
    categories = {f"profile.{f.name}" for f in PAPER.profile} | {"time.weekday"}
    assert set(made.categorical) == categories


def test_padding_may_hold_anything():
    inputs, at = random_inputs(SCHEMA)
    before = session_features(inputs, at, SCHEMA).values
    rng = np.random.default_rng(1)
    for view in SCHEMA.views:
        ids, times = inputs[view.name], inputs[f"{view.name}_times"]
        padding = ids[:, :, view.marker_column] == 0
        for column, feature in enumerate(view.features):
            if feature.name != view.marker:
                noise = rng.integers(0, feature.rows, padding.shape)
                ids[:, :, column] = np.where(padding, noise, ids[:, :, column])
        times[padding] = rng.integers(0, 2**40, padding.sum())
    np.testing.assert_array_equal(session_features(inputs, at, SCHEMA).values, before)
    inputs["tap"][:, 0, SCHEMA.view("tap").marker_column] = 1  # control: an action does change it
    assert not np.array_equal(session_features(inputs, at, SCHEMA).values, before, equal_nan=True)


def test_groups_do_not_mix_and_parts_make_the_whole(monkeypatch):
    inputs, at = random_inputs(SCHEMA, groups=23)
    whole = session_features(inputs, at, SCHEMA)
    monkeypatch.setattr(features, "PART", 5)
    parts = session_features(inputs, at, SCHEMA)
    assert whole.names == parts.names and len(set(whole.names)) == len(whole.names)
    np.testing.assert_array_equal(whole.values, parts.values)
    order = np.random.default_rng(0).permutation(len(at))
    mixed = session_features({n: ids[order] for n, ids in inputs.items()}, at[order], SCHEMA)
    np.testing.assert_array_equal(mixed.values, whole.values[order])
    none = session_features({n: ids[:0] for n, ids in inputs.items()}, at[:0], SCHEMA)
    assert none.values.shape == (0, len(whole.names))


def test_a_view_that_is_not_there_leaves_the_others_as_they_are():
    inputs, at = random_inputs(SCHEMA)
    whole = session_features(inputs, at, SCHEMA)
    some = session_features(inputs, at, SCHEMA.keep(["browse", "profile"]))
    columns = [whole.names.index(name) for name in some.names]
    np.testing.assert_array_equal(some.values, whole.values[:, columns])
    assert not any(name.startswith(("tap.", "swipe.")) for name in some.names)


def test_all_features_of_the_paper_s_schema_have_names_that_lightgbm_takes():
    inputs, at = random_inputs(PAPER, groups=2)
    names = session_features(inputs, at, PAPER).names
    assert 900 < len(names) < 1600
    assert not [n for n in names if set(n) & set('",:[]{} ')]
