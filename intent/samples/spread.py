"""The order of the groups within one row group, before the epoch plan mixes row groups.

On disk the groups of one user's one day are neighbours. In the spread order they are far apart: of
a user-day with c groups, one falls into each c-th of the row group, at a place that is drawn. So a
batch, which takes a short piece of the order, rarely meets the same user-day twice.

Letters: R rows (user-days) and G groups of a row group, K groups of them that are kept.
"""

from __future__ import annotations

import numpy as np

from intent.samples.plan import generator

_NEGATIVES, _SPREAD, _CARRIED = 3, 4, 5  # what a random generator is for; 0 to 2 are the plan's


def kept_negatives(negatives: np.ndarray, rate: float, seed: int, epoch: int) -> np.ndarray:
    """How many of each row group's negatives [units] an epoch has: `rate` of them, to within one.

    What is lost by rounding down is made up for by the next row groups, beginning at a random
    point: row groups of few negatives are not passed over in every epoch.
    """
    if rate >= 1:
        return negatives
    carried = generator(seed, epoch, _CARRIED).random()
    return np.diff(np.floor(rate * np.cumsum(negatives) + carried), prepend=0).astype(np.int64)


def draw(negative: np.ndarray, count: int, seed: int, epoch: int, unit: int) -> np.ndarray:
    """The groups [K] that an epoch has of a row group, ascending: all positives, some negatives.

    Args:
        negative: [G] which groups have no positive label.
        count: K.
        unit: number of the row group in the dataset.
    """
    if count == len(negative):
        return np.arange(count)
    where = np.flatnonzero(negative)
    random = generator(seed, epoch, _NEGATIVES, unit)
    left_out = random.permutation(where)[: len(negative) - count]
    return np.delete(np.arange(len(negative)), left_out)


def spread(rows: np.ndarray, seed: int, epoch: int, unit: int) -> np.ndarray:
    """An order [K] of a row group's groups in which those of one row are far apart.

    Args:
        rows: [K] the row of each group, ascending.
        unit: number of the row group in the dataset.
    """
    random = generator(seed, epoch, _SPREAD, unit).random((2, len(rows)))
    count = np.bincount(rows)
    first = np.cumsum(count) - count
    turn = np.empty(len(rows), np.int64)  # which of its row's groups comes first, second, ...
    turn[np.lexsort((random[0], rows))] = np.arange(len(rows)) - first[rows]
    return np.argsort((turn + random[1]) / count[rows])
