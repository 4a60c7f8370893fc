"""What is left of a group when something is taken out of it."""

from __future__ import annotations

import numpy as np
import pytest

from intent.evaluation import occlusion
from intent.samples import manifest as manifests
from intent.samples import peek
from intent.samples.fusion import fusion_order
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs

LENGTH = 16


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """All days of some users."""
    root = tmp_path_factory.mktemp("samples")
    build_samples(root, random_logs(per_day=12), length=LENGTH)
    manifest = manifests.load(root)
    return [peek.cuts_of(str(root), manifest, f"user-{i}") for i in range(3)]


@pytest.fixture(params=["short", "full"])
def unit_and_index(units, request):
    """A group whose windows are not full, and one with older actions before full ones."""
    return (units[0][0], 9) if request.param == "short" else (units[1][-1], 11)


@pytest.fixture
def group(unit_and_index):
    return occlusion.group_of(*unit_and_index, fusion=True)


def naive(group, gone: dict) -> dict:
    """The same one action at a time; `gone` counts from the track's first action."""
    inputs, times, counts = {}, [], []
    for view in group.schema.views:
        pairs = zip(group.tracks[view.name], group.times[view.name], strict=True)
        left = [
            (ids, time)
            for i, (ids, time) in enumerate(pairs)
            if ids[view.marker_column] and i not in gone.get(view.name, ())
        ][-LENGTH:]
        ids = np.zeros((LENGTH, view.width), view.dtype)
        time = np.zeros(LENGTH, np.int64)
        for i, (one, moment) in enumerate(left):
            ids[i], time[i] = one, moment
        inputs[view.name] = ids
        times.append(time[None])
        counts.append(np.array([len(left)]))
    inputs["fusion"] = fusion_order(times, counts, LENGTH)[0]
    for source, nothing in (("history", 1), ("profile", 0)):
        ids = group.facts[source].tolist()
        inputs[source] = [nothing if i in gone.get(source, ()) else v for i, v in enumerate(ids)]
    return inputs


def test_nothing_taken_out_is_the_group_itself(unit_and_index, group):
    unit, index = unit_and_index
    same = occlusion.variants(group, [{}, {}])
    stored = unit.inputs(np.array([index, index]), fusion=True)
    assert set(same) == set(stored)
    for name, ids in stored.items():
        assert same[name].dtype == ids.dtype
        np.testing.assert_array_equal(same[name], ids)


def test_older_actions_move_into_full_windows_and_later_ones_up_in_others(unit_and_index, group):
    unit, index = unit_and_index
    full = index == 11
    stored = unit.inputs(np.array([index]))
    for view in group.schema.views:
        name, window = view.name, np.flatnonzero(group.window(view.name))
        assert (len(window) == LENGTH) == full and (window[0] > 0) == full
        n, k = len(window), 1
        gone = {name: np.arange(2 * LENGTH) == window[k]}
        found, before = occlusion.variants(group, [gone])[name][0], stored[name][0]
        if full:
            np.testing.assert_array_equal(found[0], group.tracks[name][window[0] - 1])
            np.testing.assert_array_equal(found[1 : k + 1], before[:k])
            np.testing.assert_array_equal(found[k + 1 :], before[k + 1 :])
        else:
            np.testing.assert_array_equal(found[:k], before[:k])
            np.testing.assert_array_equal(found[k : n - 1], before[k + 1 : n])
            assert not found[n - 1 :].any()


def test_variants_are_those_made_one_action_at_a_time(group):
    gone = [
        {"swipe": [0]},
        {"browse": [1, 2, 20], "tap": [0, 30]},
        {"history": [0, 17], "profile": [3], "swipe": range(2 * LENGTH)},
    ]
    width = {n: len(ids) for n, ids in (group.tracks | group.facts).items()}
    masks = [{n: np.isin(np.arange(width[n]), list(i)) for n, i in g.items()} for g in gone]
    found = occlusion.variants(group, masks)
    for row, one in enumerate(gone):
        for name, expected in naive(group, one).items():
            np.testing.assert_array_equal(found[name][row], expected, err_msg=f"{name} {one}")


def test_every_action_and_every_part_is_tried(group):
    trials = occlusion.trials(group)
    windows = {v.name: group.window(v.name) for v in group.schema.views}
    actions = [t for t in trials if t.part == "action"]
    places = [(n, i) for n, window in windows.items() for i in range(int(window.sum()))]
    assert [(t.source, t.name) for t in actions] == places
    for view, window in windows.items():
        mine = np.sum([t.gone[view] for t in actions if t.source == view], axis=0)
        np.testing.assert_array_equal(mine, window)
        kinds = [t for t in trials if t.part == "kind" and t.source == view]
        assert len(kinds) != 1
        assert not kinds or sum(t.count for t in kinds) == window.sum()
        for kind in kinds:
            left = occlusion.variants(group, [kind.gone])[view][0]
            assert not (left[:, group.schema.view(view).marker_column] == kind.name).any()
    assert [t.name for t in trials if t.part == "source"] == list(group.schema.sources)
    (everything,) = [t for t in trials if t.part == "everything"]
    empty = occlusion.variants(group, [everything.gone])
    assert not any(empty[view].any() for view in windows)
    assert (empty["history"] == 1).all() and not empty["profile"].any()
    assert not empty["fusion"].any()
    recent = [t for t in trials if t.part == "recent"]
    for trial in recent:
        for view, mask in trial.gone.items():
            young = group.times[view] > group.at - trial.name
            np.testing.assert_array_equal(mask, young & (group.kinds(view) > 0))
    counts = [t.count for t in recent]
    assert counts == sorted(set(counts)) and 0 not in counts


def test_padding_is_cut_off_where_that_changes_nothing(units):
    for fusion in (False, True):
        group = occlusion.group_of(units[0][0], 0, fusion)
        inputs = occlusion.variants(group, [{}])
        longest = max(group.window(v.name).sum() for v in group.schema.views)
        assert 0 < longest < LENGTH
        cut = occlusion.without_padding(inputs, group.schema)
        for view in group.schema.views:
            n = LENGTH if fusion else longest
            assert cut[view.name].shape[1] == n
            np.testing.assert_array_equal(cut[view.name], inputs[view.name][:, :n])
        np.testing.assert_array_equal(cut["history"], inputs["history"])


@pytest.mark.parametrize("batch", [1, 5, occlusion.TOGETHER, 2 * occlusion.TOGETHER + 3])
def test_parts_of_one_size_hold_every_variant_once(batch):
    sizes = []

    def score(inputs):
        x = inputs["x"] if isinstance(inputs, dict) else inputs[0]
        sizes.append(len(x))
        return np.stack([x, 2 * x], axis=1)

    values = np.arange(batch)
    for inputs in ({"x": values}, [values]):
        found = occlusion.score_in_parts(score, inputs)
        np.testing.assert_array_equal(found, np.stack([values, 2 * values], axis=1))
    assert len(set(sizes)) == 1 and sizes[0] <= occlusion.TOGETHER
