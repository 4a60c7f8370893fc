"""Windows and ages, sliced out of tracks, against loops over actions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intent.features import discretize
from intent.samples import native
from intent.samples.windows import LAST_AGE, RECENT_MS, fill_ages, gather, window_times

AT = 1_700_000_000_000


@pytest.fixture(params=["compiled", "numpy"], autouse=True)
def form(request, monkeypatch):
    """Both forms of everything; setup builds the compiled one."""
    if request.param == "numpy":
        monkeypatch.setattr(native, "slices", lambda: None)
    else:
        assert native.slices() is not None
    return request.param


def test_windows_beyond_the_tracks_are_refused(form):
    ids = np.ones((9, 2), np.uint8)
    for start, count in ((-1, 3), (7, 3), (0, 5), (0, -1), (1 << 40, 1)):
        with pytest.raises(IndexError, match="beyond 9 actions"):
            gather(ids, np.array([0, start]), np.array([2, count]), 4)
    assert not gather(ids, np.array([1 << 40]), np.array([0]), 4).any()
    for wrong in (np.asfortranarray(ids), ids[::2]):
        with pytest.raises(ValueError, match="C order"):
            gather(wrong, np.array([0]), np.array([1]), 4)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 3), st.data())
def test_windows_are_the_actions_and_zeros_behind_them(actions, length, width, data):
    ids = np.random.default_rng(0).integers(1, 999, (actions, width)).astype("<u2")
    counts = data.draw(st.lists(st.integers(0, min(length, actions)), max_size=6))
    count = np.array(counts, np.int64)
    start = np.array([data.draw(st.integers(0, actions - c)) for c in counts], np.int64)
    found = gather(ids, start, count, length)
    expected = np.zeros((len(count), length, width), "<u2")
    for b, (low, n) in enumerate(zip(start, count, strict=True)):
        expected[b, :n] = ids[low : low + n]
    assert found.dtype == ids.dtype and np.array_equal(found, expected)
    times = np.arange(actions, dtype=np.int64) + AT
    seen = window_times(times, start, count, length)
    assert [t[t > 0].tolist() for t in seen] == [
        times[a : a + n].tolist() for a, n in zip(start, count, strict=True)
    ]


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_ages_are_those_of_the_step_function(off, dtype):
    steps = np.arange(0, RECENT_MS + 3_600_000, discretize.age.fine)
    times = np.sort(AT - steps - off)
    times = times[times <= AT]
    count = np.array([len(times), 5, 0])
    start = np.array([0, len(times) - 5, 7])
    whole = np.full((3, len(times), 2), LAST_AGE, dtype)
    late = int((AT - times < RECENT_MS).sum())
    recent = np.array([late, min(late, 5), 0])
    fill_ages(whole, 1, times, np.full(3, AT), start, count, recent)
    out = whole[:, :, 1]
    assert (whole[:, :, 0] == LAST_AGE).all()
    expected = discretize.age(AT - times)
    assert np.array_equal(out[0], expected) and len(set(expected.tolist())) == LAST_AGE
    assert np.array_equal(out[1, :5], expected[-5:]) and (out[1, 5:] == LAST_AGE).all()
    one_less = np.full_like(whole, LAST_AGE)  # an action that is taken for an old one is noticed
    fill_ages(one_less, 1, times, np.full(3, AT), start, count, np.maximum(recent - 1, 0))
    assert not np.array_equal(one_less[0, :, 1], expected)
