"""The paper's own numbers: the step function of 3.1, Table 2's rows and Table 3's sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from intent.features import discretize
from intent.schema import HISTORY, PROFILE, SWIPE


def paper_step(x, f_s, f_b):
    """Section 3.1, written out as printed."""
    if x < f_b:
        return math.floor(x / f_s)
    if x < 10 * f_b:
        return math.floor(x / f_b + 9)
    return 19


@pytest.mark.parametrize(
    ("function", "f_s", "f_b"), [(discretize.time_gap, 100, 1000), (discretize.duration, 25, 250)]
)
def test_step_function_is_the_papers(function, f_s, f_b):
    x = np.r_[np.arange(0, 12 * f_b), 10**9]
    assert function(x).tolist() == [paper_step(v, f_s, f_b) + 1 for v in x]
    assert set(function(x)) == set(range(1, 21))  # every one of Table 3's 20 levels is used


def test_step_functions_use_every_level_of_table_3():
    for function, levels in ((discretize.stay_time, 179), (discretize.age, 25)):
        x = np.arange(0, 3 * 24 * 3_600_000, function.fine / 2)
        ids = function(x)
        assert (np.diff(ids) >= 0).all()
        assert set(ids) == set(range(1, levels + 1))


def test_what_does_not_apply_is_zero_and_the_first_action_has_the_longest_gap():
    assert discretize.duration([np.nan, 34.0]).tolist() == [0, 2]  # Table 2a's swipe: 34 ms
    assert discretize.time_gap([np.inf]).tolist() == [20]


def test_position_cuts_the_screen_into_equal_segments():
    assert discretize.position([0, 336.5, 375, np.nan], 375, 17).tolist() == [1, 16, 17, 0]
    assert discretize.position(473.0, 667, 25) == 18
    edges = np.arange(17) * 375 / 17
    assert discretize.position(edges + 1e-6, 375, 17).tolist() == list(range(1, 18))


def test_swipe_length_has_twice_the_segments_because_of_the_direction():
    # Table 2a: from (242.5, 573.5) to (234.0, 558.5), left and up
    assert discretize.swipe_length(242.5, 234.0, 375, 17) == 17 + 1
    assert discretize.swipe_length(573.5, 558.5, 667, 25) == 25 + 1
    assert discretize.swipe_length(0, 375, 375, 17) == 17
    assert discretize.swipe_length(375, 0, 375, 17) == 34
    assert discretize.swipe_length(np.nan, 3, 375, 17) == 0
    assert SWIPE.features[SWIPE.column("length_x")].dictionary == 34
    assert SWIPE.features[SWIPE.column("length_y")].dictionary == 50


def test_direction():
    assert discretize.direction([0, 5, 5, np.nan], [5, 0, 5, 1], True).tolist() == [1, 2, 0, 0]
    # y grows downward: a smaller y is up, which is 1
    assert discretize.direction([5], [0], first_is_positive=False).tolist() == [1]


def test_levels_and_counts_stay_inside_table_3():
    assert discretize.level([0, 8, 9, -1, np.nan, 2.5], PROFILE[0]).tolist() == [1, 9, 0, 0, 0, 0]
    ids = discretize.count(np.array([[0] * 18, [10**6] * 18, [3] * 18]), HISTORY)
    assert ids[0].tolist() == [1] * 18
    assert ids[1].tolist() == [f.dictionary for f in HISTORY]
    assert ids[2].tolist() == [4] * 18


@pytest.mark.parametrize("name", ["time_gap", "duration", "stay_time", "age"])
def test_the_bounds_of_a_step_are_where_the_id_changes(name):
    function, behind = getattr(discretize, name), 0
    for id_ in range(1, function.levels + 1):
        low, high = function.bounds(id_)
        assert low == behind  # no value is between two ids
        assert function([low, high - 1e-3 if high < np.inf else 10**12]).tolist() == [id_, id_]
        behind = high
    assert behind == np.inf


@pytest.mark.parametrize("segments", [17, 25])
def test_a_segments_bounds_are_where_the_id_changes(segments):
    for id_ in range(1, segments + 1):
        low, high = discretize.segment(id_, segments)
        assert (discretize.position([low + 1e-9, high - 1e-9], 1, segments) == id_).all()
    for id_ in range(1, 2 * segments + 1):
        sign, low, high = discretize.length_segment(id_, segments)
        ends = [sign * (low + 1e-9), sign * (high - 1e-9)]
        assert (discretize.swipe_length(0, ends, 1, segments) == id_).all()
