"""Windows: the last N actions of a track at or before a cut, sliced out when they are read.

B groups in a batch, N window length, A actions of all tracks in memory, F features of a view.
"""

from __future__ import annotations

import numpy as np

from intent.features import discretize
from intent.samples import native
from intent.schema import View

# The age's id by the number of its finest steps: a table is ten times faster than the formula.
_AGES = discretize.age(np.arange(1 + 13 * 12) * discretize.age.fine).astype(np.uint8)
LAST_AGE = int(_AGES[-1])
RECENT_MS = (len(_AGES) - 1) * discretize.age.fine  # from this age on, it is LAST_AGE


def gather(ids_AF: np.ndarray, start_B: np.ndarray, count_B: np.ndarray, length: int) -> np.ndarray:
    """The actions [start, start + count) of each group, padded on the right with 0.

    Args:
        ids_AF: packed ids of many tracks, one after the other, in C order.
        start_B, count_B: first action and number of actions, at most `length`.

    Returns: [B, length, F] of the same type.

    Raises:
        IndexError: a window reaches beyond the tracks.
    """
    if not ids_AF.flags.c_contiguous:
        raise ValueError("tracks must be in C order: windows are copies of their memory")
    actions, width = ids_AF.shape
    start = np.ascontiguousarray(start_B, np.int64)
    count = np.ascontiguousarray(count_B, np.int32)
    wrong = (count < 0) | (count > length) | ((start < 0) | (start + count > actions)) & (count > 0)
    if wrong.any():
        raise IndexError(f"windows {np.flatnonzero(wrong)} reach beyond {actions} actions")
    compiled = native.slices()
    if compiled is None:
        return _overlaid(ids_AF, start, count, length)
    out = np.empty((len(start), length, width), ids_AF.dtype)
    stride = ids_AF.itemsize * width
    native.call(compiled.slice_windows, ids_AF, stride, start, count, len(start), length, out)
    return out


def _overlaid(
    ids_AF: np.ndarray, start_B: np.ndarray, count_B: np.ndarray, length: int
) -> np.ndarray:
    """`gather` in NumPy: an array of all windows, which overlap in the tracks, is laid over them,
    and some of its items are taken; each is one copy of memory."""
    actions, width = ids_AF.shape
    stride = ids_AF.itemsize * width
    window = np.dtype((np.void, stride * length))
    inside = max(actions - length + 1, 0)  # windows from here on reach beyond the memory
    late = np.flatnonzero((start_B >= inside) & (count_B > 0))
    every = np.ndarray((inside,), window, ids_AF.data, 0, (stride,)) if inside else None
    if inside and not len(late):
        out = every[np.minimum(start_B, inside - 1)]
    else:
        out = np.zeros(len(start_B), window)
        early = np.flatnonzero(start_B < inside)
        if len(early):
            out[early] = every[start_B[early]]
    _clear_tails(out.view(np.uint8), count_B, stride, length)
    out = out.view(ids_AF.dtype).reshape(len(start_B), length, width)
    for b in late.tolist():
        out[b, : count_B[b]] = ids_AF[start_B[b] : start_B[b] + count_B[b]]
    return out


def _clear_tails(bytes_: np.ndarray, count_B: np.ndarray, stride: int, length: int) -> None:
    """Write 0 behind the `count_B` first actions, of `stride` bytes each, of every window."""
    short = np.flatnonzero(count_B < length)
    end = (short + 1) * (length * stride)
    missing = (length - count_B[short]) * stride
    memory, zeros = memoryview(bytes_), memoryview(bytes(length * stride))
    for size, high in zip(missing.tolist(), end.tolist(), strict=True):
        memory[high - size : high] = zeros[:size]


def fill_ages(
    out_BNF: np.ndarray,
    column: int,
    times_A: np.ndarray,
    at_B: np.ndarray,
    start_B: np.ndarray,
    count_B: np.ndarray,
    recent_B: np.ndarray,
) -> None:
    """Write the ids of how long before the cut each action was (Table 3c's Timestamp).

    Args:
        out_BNF, column: windows in C order, and the feature to write: it is LAST_AGE at every
            action, and is overwritten where they are younger.
        start_B, count_B: as for `gather`.
        recent_B: how many of the last actions have another age than LAST_AGE.
    """
    batch, length, width = out_BNF.shape
    compiled, numbers = native.slices(), (np.int64, np.int64, np.int32, np.int32)
    given = (at_B, start_B, count_B, recent_B)
    given = [np.ascontiguousarray(a, t) for a, t in zip(given, numbers, strict=True)]
    if compiled is not None:
        sizes = (batch, length, width, column, out_BNF.itemsize)
        table = (_AGES, len(_AGES), discretize.age.fine)
        native.call(compiled.fill_ages, times_A, *given, *sizes, *table, out_BNF)
        return
    at_B, start_B, count_B, recent_B = given
    first = count_B - recent_B - (np.cumsum(recent_B) - recent_B)
    turn = np.arange(int(recent_B.sum()))
    ago = np.repeat(at_B, recent_B) - times_A[turn + np.repeat(start_B + first, recent_B)]
    ago = ago.astype(np.int32)  # less than 13 hours; division is slow, and slower for 64 bits
    where = turn + np.repeat(np.arange(batch) * length + first, recent_B)
    out_BNF.reshape(-1, width)[where, column] = _AGES.take(ago // np.int32(discretize.age.fine))


def window_times(
    times_A: np.ndarray, start_B: np.ndarray, count_B: np.ndarray, length: int
) -> np.ndarray:
    """Epoch ms of the actions in each window, [B, length]; 0 at padding."""
    return gather(times_A[:, None], start_B, count_B, length)[:, :, 0]


def age_column(view: View) -> int | None:
    """Which feature of a view is the age of its actions; None where it has none."""
    names = [f.name for f in view.features]
    return names.index("age") if "age" in names else None
