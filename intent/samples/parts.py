"""A view's ids as columns of values and lengths, and back.

`intent.samples.compact` says what the swipe view's columns are; here they meet the rows.

Letters: R rows, A actions of a view and M moments of all rows, F features.
"""

from __future__ import annotations

import numpy as np

from intent.samples import compact, timeline
from intent.schema import View


def view_parts(
    view: View, ids: np.ndarray, times: np.ndarray, actions: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The columns of a view's ids: (values, [R] lengths)."""
    if not compact.is_swipe(view):
        names = compact.stored_features(view)
        return {f"{view.name}_{n}": (ids[:, view.column(n)], actions) for n in names}
    first = timeline.first_of(actions)
    folded, odd = compact.fold(ids, compact.expected_gap(times, first[actions > 0]))
    odds = np.diff(np.searchsorted(odd, np.r_[first, len(ids)]))
    folded["odd_step"] = np.diff(odd, prepend=0)
    begin = timeline.first_of(odds)[odds > 0]
    folded["odd_step"][begin] = odd[begin] - first[odds > 0]
    lengths = swipe_lengths(compact.kinds(folded["action"]), actions, odds)
    return {f"{view.name}_{n}": (v, lengths.get(n, actions)) for n, v in folded.items()}


def view_ids(
    view: View,
    values: dict[str, np.ndarray],
    lengths: dict[str, np.ndarray],
    gap: np.ndarray | None,
    kinds: tuple[np.ndarray, np.ndarray] | None,
) -> np.ndarray:
    """The inverse of `view_parts`: [A, F].

    Args:
        gap, kinds: of the swipe view, `compact.expected_gap` and `compact.kinds`.
    """
    name, actions = view.name, lengths[f"{view.name}_step"]
    if gap is None:
        ids = np.zeros((int(actions.sum()), view.width), view.dtype)
        for feature in compact.stored_features(view):
            ids[:, view.column(feature)] = values[f"{name}_{feature}"]
        return ids
    folded = {n: values[f"{name}_{n}"] for n in compact.SWIPE_COLUMNS}
    odd = timeline.Series.of(
        folded["odd_step"], lengths[f"{name}_odd"], timeline.first_of(actions), actions
    )
    return compact.unfold(folded, gap, *kinds, odd.moments())


def swipe_lengths(
    kinds: tuple[np.ndarray, np.ndarray], actions: np.ndarray, odds: np.ndarray
) -> dict[str, np.ndarray]:
    """[R] lengths of the swipe view's columns that are shorter than the track."""
    bounds = np.append(0, np.cumsum(actions))
    taps, swipes = (np.diff(np.searchsorted(kind, bounds)) for kind in kinds)
    lengths = dict.fromkeys(compact.OF_TAPS, taps) | dict.fromkeys(compact.OF_SWIPES, swipes)
    return lengths | {"odd": odds, "odd_step": odds}


def moment_gaps(
    low: np.ndarray, mid: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The moments' gaps in ms, int64 [M], and the time gap ids of an action after each."""
    near = mid.astype(np.uint16)
    near <<= 8
    near |= low
    gaps, ids = near.astype(np.int64), compact.gap_ids(near)
    far = np.flatnonzero(high != 0)  # a minute and more: few
    gaps[far] += high[far].astype(np.int64) << 16
    ids[far] = compact.LAST_GAP
    return gaps, ids


def swipe_gaps(
    line: timeline.Series, gaps: np.ndarray, gap_ids: np.ndarray, actions: np.ndarray
) -> np.ndarray:
    """`compact.expected_gap`, of the moments' gaps: most actions are one moment after the last.

    Args:
        gaps, gap_ids: see `moment_gaps`.
        actions: [R] the view's.
    """
    found = line.of_moments(gap_ids)
    before = line.moment + line.high - line.low - 1
    since = timeline.passed(gaps, line.moment[1:]) - timeline.passed(gaps, before[:-1])
    found[line.low[1:]] = compact.gap_ids(since)
    found[timeline.first_of(actions)[actions > 0]] = compact.LAST_GAP
    return found
