"""A view's ids as columns that compress: one for each feature, none for what others tell.

Features side by side share one entropy code and compress badly; a feature of its own does not. Of
the swipe view, whose 14 features (Table 3a) are most of the bytes, much follows from the rest:

- a feature that only taps (swipes) have is kept for taps (swipes) alone;
- `move_x` is end_x - start_x;
- the length and the direction of a swipe follow from its ends, up to the rounding of both to
  segments: `rest` says how they differ from that;
- the time gap follows from the timestamps; `time_gap` says how it differs from that, which it
  does for the first action of a track only.

Any ids survive: an action to which this does not apply is kept as it is in `odd`.

Letters: A actions of all rows of a row group, F features, k actions or less. All arithmetic on ids
is modulo 256.
"""

from __future__ import annotations

import numpy as np

from intent.features import discretize
from intent.schema import SWIPE, View

TAP, SWIPE_ACTION = 4, 3  # ids of the swipe view's actions
_FEATURES = {f.name: i for i, f in enumerate(SWIPE.features)}
OF_TAPS = ("tap_x", "tap_y")
OF_SWIPES = ("start_x", "start_y", "move_x", "end_y", "duration", "rest")
_PLAIN = ("page", "action", "time_gap")
SWIPE_COLUMNS = (*_PLAIN, *OF_TAPS, *OF_SWIPES, "odd_step", "odd")
_FIRST_OF_SWIPES = _FEATURES["start_x"]  # this feature and all after it

# Of the difference of two segments, as a byte: the id of the length between them.
_WAY = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)
_LENGTH = {
    axis: np.where(_WAY < 0, segments - _WAY, _WAY).astype(np.uint8) + np.uint8(1)
    for axis, segments in (("x", 17), ("y", 25))
}
# By how much the id may differ from that: by one from rounding; and within one segment a swipe can
# go either way.
_DEVIATIONS = {
    axis: np.array([-1, 0, 1, segments]).astype(np.uint8)
    for axis, segments in (("x", 17), ("y", 25))
}
_DIRECTION = {  # of the id of a length: right and left, up and down
    "right_left": np.where(np.arange(256) > 17, 2, 1).astype(np.uint8),
    "up_down": np.where(np.arange(256) > 25, 1, 2).astype(np.uint8),
}
_TIME_GAP = discretize.time_gap(np.arange(10_001)).astype(np.uint8)  # the last level begins there


def is_swipe(view: View) -> bool:
    """Whether the view has the features that this module knows to fold."""
    return view.features == SWIPE.features


def stored_features(view: View) -> list[str]:
    """Features of a view that are columns for every action; the age depends on the cut."""
    if is_swipe(view):
        return list(_PLAIN)
    return [f.name for f in view.features if f.name != "age"]


def expected_gap(times_A: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The time gap ids that the times tell, uint8 [A]; `first`: where tracks begin."""
    gap = np.diff(times_A, prepend=0)
    gap[first] = len(_TIME_GAP)
    return _TIME_GAP[np.minimum(gap, len(_TIME_GAP) - 1)]


def _deviation(length: np.ndarray, move: np.ndarray, axis: str) -> np.ndarray:
    """Which of `_DEVIATIONS` it is; more than 3 for none."""
    off = length - _LENGTH[axis][move] + np.uint8(1)
    return np.where(off == _DEVIATIONS[axis][3] + 1, np.uint8(3), off + (off > 2))


def fold(ids_AF: np.ndarray, gap_A: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The swipe view's columns and the indices [k] of odd actions.

    Args:
        gap_A: `expected_gap`.

    Returns: column -> uint8 [A], [taps] or [swipes]; "odd" [k, F].
    """
    f = {name: np.ascontiguousarray(ids_AF[:, i]) for name, i in _FEATURES.items()}
    tap, swipe = f["action"] == TAP, f["action"] == SWIPE_ACTION
    columns = {"page": f["page"], "action": f["action"], "time_gap": f["time_gap"] - gap_A}
    columns |= {name: f[name][tap] for name in OF_TAPS}
    s = {name: f[name][swipe] for name in list(_FEATURES)[_FIRST_OF_SWIPES:]}
    columns |= {name: s[name] for name in ("start_x", "start_y", "end_y", "duration")}
    columns["move_x"] = s["end_x"] - s["start_x"]
    x = _deviation(s["length_x"], columns["move_x"], "x")
    y = _deviation(s["length_y"], s["end_y"] - s["start_y"], "y")
    rest, strange = x + 4 * y, (x > 3) | (y > 3)
    for weight, name, length in ((16, "right_left", "length_x"), (32, "up_down", "length_y")):
        still = s[name] == 0
        rest += np.uint8(weight) * still
        strange |= ~still & (s[name] != _DIRECTION[name][s[length]])
    rest[strange] = 0
    columns["rest"] = rest
    odd = np.zeros(len(ids_AF), bool)
    odd[np.flatnonzero(swipe)[strange]] = True
    odd |= (f["tap_x"] | f["tap_y"]).astype(bool) & ~tap
    other = np.flatnonzero(~swipe)
    odd[other] |= ids_AF[other, _FIRST_OF_SWIPES:].any(axis=1)
    where = np.flatnonzero(odd)
    columns["odd"] = ids_AF[where]
    return columns, where


def unfold(columns: dict[str, np.ndarray], gap_A: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """The inverse of `fold`: uint8 [A, F].

    Args:
        odd: indices [k] of the odd actions.
    """
    action = columns["action"]
    # Feature by feature in memory while it is filled: strided writes are slow.
    ids = np.zeros((len(_FEATURES), len(action)), np.uint8)
    ids[_FEATURES["page"]], ids[_FEATURES["action"]] = columns["page"], action
    ids[_FEATURES["time_gap"]] = columns["time_gap"] + gap_A
    tap, swipe = np.flatnonzero(action == TAP), np.flatnonzero(action == SWIPE_ACTION)
    for name in OF_TAPS:
        ids[_FEATURES[name], tap] = columns[name]
    start_x, start_y, end_y = columns["start_x"], columns["start_y"], columns["end_y"]
    rest = columns["rest"]
    s = {"start_x": start_x, "start_y": start_y, "end_y": end_y, "duration": columns["duration"]}
    s["end_x"] = start_x + columns["move_x"]
    s["length_x"] = _LENGTH["x"][columns["move_x"]] + _DEVIATIONS["x"][rest & 3]
    s["length_y"] = _LENGTH["y"][end_y - start_y] + _DEVIATIONS["y"][rest >> 2 & 3]
    s["right_left"] = _DIRECTION["right_left"][s["length_x"]] * (rest & 16 == 0)
    s["up_down"] = _DIRECTION["up_down"][s["length_y"]] * (rest & 32 == 0)
    for name, values in s.items():
        ids[_FEATURES[name], swipe] = values
    ids = np.ascontiguousarray(ids.T)
    ids[odd] = columns["odd"]
    return ids
