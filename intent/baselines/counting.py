"""Counting in windows: the arithmetic of session features, for many groups at once.

Letters: B groups, N positions of a window, L levels of recency, C codes, P = pairs of codes.

A mask `of` [B, N] says which positions are meant; what stands elsewhere is not read.
"""

from __future__ import annotations

import numpy as np

# (t0 - width, t0] as in the history counts; the last one is the whole window.
RECENCY = {"1m": 60_000, "5m": 300_000, "30m": 1_800_000, "1h": 3_600_000, "1d": 86_400_000}
LEVELS = (*RECENCY, "all")
_WIDTHS = np.array(list(RECENCY.values()))


def recency(age_ms: np.ndarray) -> np.ndarray:
    """The narrowest of `LEVELS` that an action is in, by its age at the cut. Any shape."""
    return np.searchsorted(_WIDTHS, age_ms, side="right")


def counts(codes: np.ndarray, of: np.ndarray, top: int) -> np.ndarray:
    """How often each code 1..top stands in a window, [B, top]; code 0 and above top is no code."""
    of = of & (codes > 0) & (codes <= top)
    flat = codes + np.arange(len(codes))[:, None] * (top + 1)
    found = np.bincount(flat[of], minlength=len(codes) * (top + 1))
    return found.reshape(len(codes), top + 1)[:, 1:]


def recent_sums(
    codes: np.ndarray, level: np.ndarray, of: np.ndarray, top: int, values: np.ndarray | None = None
) -> np.ndarray:
    """Actions of each code 1..top within each level of recency, [B, L, top].

    Args:
        codes: [B, N] of 0..top; 0 is passed over.
        level: [B, N] of `recency`.
        values: [B, N] to be summed instead of counting 1 each.
    """
    of = of & (codes > 0)
    shape = (len(codes), len(LEVELS), top + 1)
    flat = (np.arange(len(codes))[:, None] * len(LEVELS) + level) * (top + 1) + codes
    weights = None if values is None else values[of]
    found = np.bincount(flat[of], weights, minlength=int(np.prod(shape))).reshape(shape)
    return found[:, :, 1:].cumsum(axis=1)


def transitions(codes: np.ndarray, of: np.ndarray, top: int) -> np.ndarray:
    """How often code a is directly followed by code b, [B, top * top], a by a; codes are 1..top.

    The later of the two is in `of`, and the one before it in the window is real where its code is
    above 0.
    """
    before, after = codes[:, :-1].astype(np.int64), codes[:, 1:]
    both = of[:, 1:] & (before > 0) & (after > 0)
    return counts((before - 1) * top + after, both, top * top)


def last(values: np.ndarray, of: np.ndarray, nothing: float = np.nan) -> np.ndarray:
    """The value at the last position of `of`, [B]."""
    length = values.shape[1]
    place = length - 1 - of[:, ::-1].argmax(axis=1)
    return np.where(of.any(axis=1), values[np.arange(len(values)), place], nothing)


def least(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The smallest value, NaN where there is none. [B]"""
    found = np.where(of, values, np.inf).min(axis=1)
    return np.where(np.isinf(found), np.nan, found)


def most(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The largest value, NaN where there is none. [B]"""
    return -least(-values, of)


def mean(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The mean, NaN where there is none. [B]"""
    total, n = np.where(of, values, 0).sum(axis=1, dtype=np.float64), of.sum(axis=1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def spread(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The standard deviation, NaN where there is no value. [B]"""
    centre = mean(values, of)
    off = np.where(of, values - np.nan_to_num(centre)[:, None], 0)
    return np.sqrt(mean(off**2, of))


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where the whole is 0. [B]"""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def focus(ids: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How concentrated the ids of a window are; id 0 says nothing and is passed over.

    Returns [B] each: how many different ids; the share of the most frequent one; the share of the
    last one. Shares are NaN where there is no id.
    """
    of = of & (ids > 0)
    n = of.sum(axis=1)
    line = np.sort(np.where(of, ids.astype(np.int32), np.iinfo(np.int32).max), axis=1)
    inside = np.arange(ids.shape[1]) < n[:, None]
    begins = np.ones_like(inside)
    begins[:, 1:] = line[:, 1:] != line[:, :-1]
    begins &= inside
    place = np.arange(ids.shape[1])
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    longest = np.where(inside, place - first + 1, 0).max(axis=1)
    same = (of & (ids == last(ids, of, 0)[:, None])).sum(axis=1)
    return begins.sum(axis=1), share(longest, n), share(same, n)


def bouts(age_ms: np.ndarray, of: np.ndarray, pause_ms: int) -> tuple[np.ndarray, ...]:
    """Stretches of actions without a pause of `pause_ms`, and the one that goes on at the cut.

    `of` is a run of positions from the first on, and their ages fall.

    Returns [B] each: how many there are; actions in the last one; ms from its first action to the
    cut (NaN without actions); the mean gap in it in ms (NaN below two actions).
    """
    gap = age_ms[:, :-1] - age_ms[:, 1:]
    breaks = of[:, 1:] & (gap >= pause_ms)
    n = of.sum(axis=1)
    place = np.arange(1, age_ms.shape[1])
    first = np.where(breaks, place, 0).max(axis=1, initial=0)
    rows = np.arange(len(age_ms))
    lasting = np.where(n > 0, age_ms[rows, first], np.nan)
    inside = n - first
    newest = age_ms[rows, np.maximum(n - 1, 0)]
    gaps = np.where(inside > 1, (lasting - newest) / np.maximum(inside - 1, 1), np.nan)
    return breaks.sum(axis=1) + (n > 0), inside, lasting, gaps
