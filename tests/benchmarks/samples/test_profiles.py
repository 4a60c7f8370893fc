"""What a library does is charged to whoever of ours called it."""

import cProfile
import functools
from pathlib import Path

import pytest

from benchmarks.samples.profiles import OTHERS, charged, worker_seconds

ENCODE, TRACKS, SORT, HASH = (
    ("f", i, name) for i, name in enumerate("encode tracks sort hash".split())
)


def owner(function):
    return function[2] if function in (ENCODE, TRACKS) else None


def test_own_time_stays_and_a_library_is_charged_to_its_callers():
    stats = {
        ENCODE: (1, 1, 1.0, 4.0, {}),
        TRACKS: (1, 1, 2.0, 3.0, {}),
        SORT: (9, 9, 4.0, 4.0, {ENCODE: (3, 3, 3.0, 3.0), TRACKS: (6, 6, 1.0, 1.0)}),
    }
    assert charged(stats, owner) == {"encode": 4.0, "tracks": 3.0}


def test_through_two_floors_of_a_library_by_shares():
    stats = {
        ENCODE: (1, 1, 0.0, 3.0, {}),
        TRACKS: (1, 1, 0.0, 1.0, {}),
        SORT: (4, 4, 0.0, 4.0, {ENCODE: (3, 3, 0.0, 3.0), TRACKS: (1, 1, 0.0, 1.0)}),
        HASH: (4, 4, 4.0, 4.0, {SORT: (4, 4, 4.0, 4.0)}),
    }
    assert charged(stats, owner) == pytest.approx({"encode": 3.0, "tracks": 1.0})


def test_who_calls_itself_or_has_no_caller_counts_once():
    stats = {
        SORT: (2, 2, 5.0, 5.0, {SORT: (1, 1, 2.0, 2.0), HASH: (1, 1, 3.0, 5.0)}),
        HASH: (1, 1, 1.0, 6.0, {}),
    }
    assert charged(stats, owner) == pytest.approx({OTHERS: 6.0})


def test_profiles_of_real_calls_are_summed_by_file(tmp_path):
    from intent.samples import cuts

    for name in ("a", "b"):
        profile = cProfile.Profile()
        profile.runcall(functools.partial(cuts.mix, range(100)))
        profile.dump_stats(tmp_path / f"{name}.prof")
    found = worker_seconds(tmp_path, Path(__file__).resolve().parents[3])
    assert found["intent/samples/cuts.py mix"] > 0
