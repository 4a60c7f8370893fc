"""What all three views are asked: how many, how recently, what after what, how concentrated.

Letters: B groups, N positions of a window, F features of an action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intent.baselines import counting
from intent.baselines.columns import Columns, named
from intent.baselines.counting import LEVELS
from intent.schema import View

PAUSE_MS = 30 * 60_000  # that ends a session
LONG = (LEVELS.index("30m"), LEVELS.index("all"))  # for what comes slowly
SHORT = (LEVELS.index("5m"), LEVELS.index("all"))  # for touch, of which minutes fill a window


@dataclass(frozen=True)
class Window:
    """One view's windows of B groups.

    Attributes:
        view: which.
        ids: [B, N, F]; age_ms: [B, N] how long before the cut, 0 at padding.
        real, level: [B, N] which positions are no padding; the recency of each.
    """

    view: View
    ids: np.ndarray
    age_ms: np.ndarray
    real: np.ndarray
    level: np.ndarray

    @staticmethod
    def of(view: View, ids: np.ndarray, times: np.ndarray, at: np.ndarray) -> Window:
        """The windows of groups whose cuts are `at` [B]; times [B, N], both epoch ms."""
        real = ids[:, :, view.marker_column] > 0
        age_ms = np.where(real, at[:, None] - times, 0)
        return Window(view, ids, age_ms, real, counting.recency(age_ms))

    def column(self, name: str) -> np.ndarray:
        """The ids of one feature, [B, N] int64, 0 at padding."""
        return np.where(self.real, self.ids[:, :, self.view.column(name)], 0).astype(np.int64)

    def within(self, level: int) -> np.ndarray:
        """Which actions are at most so far back, [B, N]."""
        return self.real & (self.level <= level)


def activity(out: Columns, window: Window, names: Sequence[str]) -> None:
    """Actions by marker id and recency, seconds since the last of each, and what follows what."""
    view, real = window.view, window.real
    feature = view.features[view.marker_column]
    names, code = named(feature, names), window.column(view.marker)
    found = counting.recent_sums(code, window.level, real, feature.dictionary)
    for level, text in enumerate(LEVELS):
        out.add(f"{view.name}.n.{text}", found[:, level].sum(axis=1))
        out.add_all([f"{view.name}.{name}.{text}" for name in names], found[:, level])
    seconds = window.age_ms / 1000
    out.add(f"{view.name}.since", counting.least(seconds, real))
    out.add(f"{view.name}.reach", counting.most(seconds, real))
    for id_, name in enumerate(names, start=1):
        out.add(f"{view.name}.since.{name}", counting.least(seconds, code == id_))
    pairs = [f"{view.name}.{a}>{b}" for a in names for b in names]
    for level in LONG:
        steps = counting.transitions(code, window.within(level), feature.dictionary)
        out.add_all([f"{pair}.{LEVELS[level]}" for pair in pairs], steps)


def sessions(out: Columns, window: Window) -> None:
    """How many sessions the window has, and how the one of the cut goes; in seconds."""
    name = window.view.name
    found = counting.bouts(window.age_ms, window.real, PAUSE_MS)
    number, actions, lasting, gap = found
    out.add(f"{name}.sessions", number)
    out.add(f"{name}.session.n", actions)
    out.add(f"{name}.session.length", lasting / 1000)
    out.add(f"{name}.session.gap", gap / 1000)


def variety(out: Columns, window: Window, features: Sequence[str], levels: Sequence[int]) -> None:
    """Of each feature: how many different ids, the share of the most frequent, of the last."""
    for feature in features:
        ids = window.column(feature)
        for level in levels:
            place = f"{window.view.name}.{feature}"
            values = counting.focus(ids, window.within(level))
            for name, value in zip(("kinds", "most", "last"), values, strict=True):
                out.add(f"{place}.{name}.{LEVELS[level]}", value)


def frequent(out: Columns, window: Window, feature: str, most: int, levels: Sequence[int]) -> None:
    """How often each of the `most` most frequent names of a vocabulary feature occurs.

    Names are numbered by how frequent they are (`features.vocabulary`), id 1 is all unknown ones.
    """
    described = window.view.features[window.view.column(feature)]
    top, ids = min(most, described.rows - 1), window.column(feature)
    for level in levels:
        names = [f"{window.view.name}.{feature}.{i}.{LEVELS[level]}" for i in range(1, top + 1)]
        out.add_all(names, counting.counts(ids, window.within(level), top))


def amounts(out: Columns, name: str, values: np.ndarray, of: np.ndarray) -> None:
    """Mean, spread, largest and last of some values [B, N]."""
    out.add(f"{name}.mean", counting.mean(values, of))
    out.add(f"{name}.spread", counting.spread(values, of))
    out.add(f"{name}.max", counting.most(values, of))
    out.add(f"{name}.last", counting.last(values, of))
