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

from ctypes import CDLL

import numpy as np

from intent.features import discretize
from intent.samples import native
from intent.schema import SWIPE, View

TAP, SWIPE_ACTION = 4, 3  # ids of the swipe view's actions
_FEATURES = {f.name: i for i, f in enumerate(SWIPE.features)}
OF_TAPS = ("tap_x", "tap_y")
OF_SWIPES = ("start_x", "start_y", "move_x", "end_y", "duration", "rest")
_PLAIN = ("page", "action", "time_gap")
SWIPE_COLUMNS = (*_PLAIN, *OF_TAPS, *OF_SWIPES, "odd_step", "odd")
_BLOCK = 32_768
_FIRST_OF_SWIPES = _FEATURES["start_x"]  # this feature and all after it

_SEGMENTS = {"x": 17, "y": 25}  # of a screen, see `discretize`
# By how much the id of a length may differ from what the ends tell: by -1, 0 or 1 from rounding;
# and by all segments, as within one a swipe can go either way. These four are numbered 0 to 3.
_TIME_GAP = discretize.time_gap(np.arange(2**16)).astype(np.uint8)  # the last level begins before

LAST_GAP = _TIME_GAP[-1]


def is_swipe(view: View) -> bool:
    """Whether the view has the features that this module knows to fold."""
    return view.features == SWIPE.features


def stored_features(view: View) -> list[str]:
    """Features of a view that are columns for every action; the age depends on the cut."""
    if is_swipe(view):
        return list(_PLAIN)
    return [f.name for f in view.features if f.name != "age"]


def kinds(action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the taps and of the swipes among the actions."""
    return np.flatnonzero(action == TAP), np.flatnonzero(action == SWIPE_ACTION)


def gap_ids(gap: np.ndarray) -> np.ndarray:
    """The time gap ids of gaps in ms (>= 0), uint8; of uint16 it is one look at a table."""
    if gap.dtype == np.uint16:
        return _TIME_GAP.take(gap)
    return _TIME_GAP.take(np.clip(gap, 0, len(_TIME_GAP) - 1))


def expected_gap(times_A: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The time gap ids that the times tell, uint8 [A]; `first`: where tracks begin."""
    gap = gap_ids(np.diff(times_A, prepend=0))
    gap[first] = LAST_GAP
    return gap


def _length(move: np.ndarray, axis: str) -> np.ndarray:
    """The id of a swipe's length, of the segments between its ends (a difference of bytes)."""
    back = move >> 7  # 1 towards smaller coordinates
    return (move ^ -back) + np.uint8(1) + back * np.uint8(_SEGMENTS[axis] + 1)


def _directions(length_x: np.ndarray, length_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids of a swipe's directions, of the ids of its lengths, if it moved at all."""
    left, up = length_x > _SEGMENTS["x"], length_y > _SEGMENTS["y"]
    return left + np.uint8(1), np.uint8(2) - up


def _deviate(move: np.ndarray, number: np.ndarray, axis: str) -> np.ndarray:
    """The id of a length: the inverse of `_deviation`, by the number of the deviation."""
    other_way = number & number >> 1
    return _length(move, axis) + number + other_way * np.uint8(_SEGMENTS[axis] - 2) - np.uint8(1)


_LENGTHS = {  # axis -> [number of the deviation, difference of the ends], for the compiled form
    axis: _deviate(
        np.tile(np.arange(256, dtype=np.uint8), 4),
        np.repeat(np.arange(4, dtype=np.uint8), 256),
        axis,
    ).reshape(4, 256)
    for axis in _SEGMENTS
}


def _deviation(length: np.ndarray, move: np.ndarray, axis: str) -> np.ndarray:
    """The number of the deviation from what the ends tell; more than 3 for none."""
    off = length - _length(move, axis) + np.uint8(1)
    other_way = off == _SEGMENTS[axis] + 1
    return off + (off > 2) - other_way * np.uint8(_SEGMENTS[axis] - 1)


def fold(ids_AF: np.ndarray, gap_A: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The swipe view's columns and the indices [k] of odd actions.

    Args:
        gap_A: `expected_gap`.

    Returns: column -> uint8 [A], [taps] or [swipes]; "odd" [k, F].
    """
    f = dict(zip(_FEATURES, np.ascontiguousarray(ids_AF.T), strict=True))
    tap, swipe = kinds(f["action"])
    columns = {"page": f["page"], "action": f["action"], "time_gap": f["time_gap"] - gap_A}
    columns |= {name: f[name].take(tap) for name in OF_TAPS}
    s = {name: f[name].take(swipe) for name in list(_FEATURES)[_FIRST_OF_SWIPES:]}
    columns |= {name: s[name] for name in ("start_x", "start_y", "end_y", "duration")}
    columns["move_x"] = s["end_x"] - s["start_x"]
    x = _deviation(s["length_x"], columns["move_x"], "x")
    y = _deviation(s["length_y"], s["end_y"] - s["start_y"], "y")
    right_left, up_down = _directions(s["length_x"], s["length_y"])
    still_x, still_y = s["right_left"] == 0, s["up_down"] == 0
    strange = (x > 3) | (y > 3)
    strange |= ~still_x & (s["right_left"] != right_left)
    strange |= ~still_y & (s["up_down"] != up_down)
    rest = x + 4 * y + np.uint8(16) * still_x + np.uint8(32) * still_y
    columns["rest"] = rest * ~strange
    odd = ((f["tap_x"] | f["tap_y"]) != 0) & (f["action"] != TAP)
    of_swipe = np.bitwise_or.reduce([f[n] for n in list(_FEATURES)[_FIRST_OF_SWIPES:]])
    odd |= (of_swipe != 0) & (f["action"] != SWIPE_ACTION)
    odd[swipe[strange]] = True
    where = np.flatnonzero(odd)
    columns["odd"] = ids_AF[where]
    return columns, where


def unfold(
    columns: dict[str, np.ndarray],
    gap_A: np.ndarray,
    tap: np.ndarray,
    swipe: np.ndarray,
    odd: np.ndarray,
) -> np.ndarray:
    """The inverse of `fold`: uint8 [A, F].

    Args:
        gap_A: `expected_gap`.
        tap, swipe: `kinds` of the actions.
        odd: indices [k] of the odd actions.
    """
    ids = np.empty((len(columns["action"]), len(_FEATURES)), np.uint8)
    if (compiled := native.slices()) is not None:
        _unfold_compiled(compiled, ids, columns, gap_A)
    else:
        _unfold_blocks(ids, columns, gap_A, tap, swipe)
    ids[odd] = columns["odd"]
    return ids


def _unfold_compiled(
    compiled: CDLL, ids: np.ndarray, columns: dict[str, np.ndarray], gap_A: np.ndarray
) -> None:
    def bytes_(*names: str) -> list[np.ndarray]:
        return [np.ascontiguousarray(columns[name]) for name in names]

    native.call(
        compiled.unfold_swipes, len(ids), *bytes_(*_PLAIN), np.ascontiguousarray(gap_A),
        TAP, *bytes_(*OF_TAPS), SWIPE_ACTION, *bytes_(*OF_SWIPES),
        _LENGTHS["x"], _LENGTHS["y"], _SEGMENTS["x"], _SEGMENTS["y"], ids,
    )  # fmt: skip


def _unfold_blocks(
    ids: np.ndarray,
    columns: dict[str, np.ndarray],
    gap_A: np.ndarray,
    tap: np.ndarray,
    swipe: np.ndarray,
) -> None:
    lows = np.arange(0, len(ids) + _BLOCK, _BLOCK)
    taps, swipes = np.searchsorted(tap, lows).tolist(), np.searchsorted(swipe, lows).tolist()
    for i, low in enumerate(lows[:-1].tolist()):
        each = slice(low, low + _BLOCK)
        of_taps, of_swipes = slice(*taps[i : i + 2]), slice(*swipes[i : i + 2])
        part = {name: columns[name][each] for name in _PLAIN}
        part |= {name: columns[name][of_taps] for name in OF_TAPS}
        part |= {name: columns[name][of_swipes] for name in OF_SWIPES}
        _unfold_block(ids[each], part, gap_A[each], tap[of_taps] - low, swipe[of_swipes] - low)


def _unfold_block(
    ids: np.ndarray, c: dict[str, np.ndarray], gap: np.ndarray, tap: np.ndarray, swipe: np.ndarray
) -> None:
    """Fill `ids` [a, F] of some actions, so few that all of this stays in the cache."""
    rest = c["rest"]
    s = {"start_y": c["start_y"], "end_y": c["end_y"], "duration": c["duration"]}
    s["end_x"] = c["start_x"] + c["move_x"]
    s["length_x"] = _deviate(c["move_x"], rest & 3, "x")
    s["length_y"] = _deviate(c["end_y"] - c["start_y"], rest >> 2 & 3, "y")
    right_left, up_down = _directions(s["length_x"], s["length_y"])
    s["right_left"] = right_left * (rest & 16 == 0)
    s["up_down"] = up_down * (rest & 32 == 0)
    # Two words of eight features, which overlap: what all actions have and `start_x`; and the rest.
    first, last = np.zeros((len(ids), 4), "<u2"), np.empty((len(swipe), 4), "<u2")
    first[:, 0] = _pairs(c["page"], c["action"])
    byte = first.view(np.uint8)
    byte[:, _FEATURES["time_gap"]] = c["time_gap"] + gap
    for name, at in (*((n, tap) for n in OF_TAPS), ("start_x", swipe)):
        byte[:, _FEATURES[name]][at] = c[name]
    names = list(_FEATURES)[-8:]
    for i in range(4):
        last[:, i] = _pairs(s[names[2 * i]], s[names[2 * i + 1]])
    words = np.zeros(len(ids), np.uint64)
    words[swipe] = last.view(np.uint64)[:, 0]
    for column, word in ((0, first.view(np.uint64)[:, 0]), (len(_FEATURES) - 8, words)):
        np.ndarray(len(ids), np.uint64, ids, column, ids.strides[:1])[:] = word


def _pairs(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Two bytes as a uint16 that has `low` first in memory."""
    pairs = high.astype("<u2")
    pairs <<= 8
    pairs |= low
    return pairs
