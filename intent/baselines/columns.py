"""Named columns side by side, and the values that ids stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from intent.features import discretize
from intent.schema import Feature


class Columns:
    """Features of B groups, in the order in which they were added."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._blocks: list[np.ndarray] = []

    def add(self, name: str, values: np.ndarray) -> None:
        """One feature, [B]."""
        self.add_all([name], np.asarray(values)[:, None])

    def add_all(self, names: Iterable[str], values: np.ndarray) -> None:
        """Several, [B, K]."""
        names = list(names)
        if values.shape[1] != len(names):
            raise ValueError(f"{values.shape[1]} columns for {len(names)} names")
        self.names += names
        self._blocks.append(values)

    def matrix(self) -> np.ndarray:
        """float32 [B, K]; NaN is "there is none"."""
        return np.concatenate([b.astype(np.float32) for b in self._blocks], axis=1)


def milliseconds(step: discretize.StepFunction, feature: Feature) -> np.ndarray:
    """The ms that each id of a discretized time stands for, [rows]: the middle of its step.

    0 for id 0, which is no time; the last level has no end and stands for its beginning.
    """
    found = np.zeros(feature.rows)
    for id_ in range(1, feature.rows):
        low, high = step.bounds(id_)
        found[id_] = low if np.isinf(high) else (low + high) / 2
    return found


def screens(feature: Feature, signed: bool) -> np.ndarray:
    """The share of the screen that each id of a position or swipe length stands for, [rows]."""
    segments = feature.dictionary // 2 if signed else feature.dictionary
    found = np.zeros(feature.rows)
    for id_ in range(1, feature.rows):
        if signed:
            sign, low, high = discretize.length_segment(id_, segments)
        else:
            sign, (low, high) = 1, discretize.segment(id_, segments)
        found[id_] = sign * (low + high) / 2
    return found


def named(feature: Feature, names: Sequence[str]) -> list[str]:
    """A name for each of the ids 1..dictionary; those that have none are numbered."""
    known = list(names[: feature.dictionary])
    return known + [f"{feature.name}{i}" for i in range(len(known) + 1, feature.dictionary + 1)]
