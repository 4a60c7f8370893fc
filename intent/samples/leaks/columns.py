"""What is looked at: single facts of a group, each as a small whole number, its level.

C groups, L levels of a column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intent.features import discretize
from intent.samples.exclusion import nameable
from intent.samples.units import Unit
from intent.schema import DAY_MS, HOUR_MS, Feature, Schema

# How long ago a view's last action was: at the cut itself, less than a second, 2 s, 4 s ... 36 h.
SINCE_MS = np.r_[1, 1000 * 2 ** np.arange(0, 18)]
AT_CUT = "@cut"


@dataclass(frozen=True)
class Column:
    """One fact of a group.

    Attributes:
        name: "tap.button" and the like are ids of the last action of a view, "tap.button@cut" the
            same where that action is the one at which the cut was made; "tap.actions" and
            "tap.since" are how many actions the window has and how long ago the last one was; then
            "history.purchase_1w", "profile.gender", "cut.hour".
        levels: how many there are, from 0. Of an action, 0 is "there is none" and id + 1 the id; of
            counts, k is 2 ** (k - 1) or more.
        feature: of the action, where actions can be hidden by it; else None.
    """

    name: str
    levels: int
    feature: Feature | None = None

    @property
    def key(self) -> str:
        """Of the dictionary: "tap.button"."""
        return self.name.removesuffix(AT_CUT)

    @property
    def when(self) -> str:
        """Which action it is of: "last" of its view, or "cut", the one at the cut."""
        return "cut" if self.name.endswith(AT_CUT) else "last"


def columns(schema: Schema) -> list[Column]:
    """All that is looked at, in the order of the schema."""
    found = []
    for view in schema.views:
        for feature in view.features:
            named = feature if nameable(feature) else None
            name = f"{view.name}.{feature.name}"
            found.append(Column(name, feature.rows + 1, named))
            if named:
                found.append(Column(name + AT_CUT, feature.rows + 1, named))
        found.append(Column(f"{view.name}.actions", schema.length.bit_length() + 1))
        found.append(Column(f"{view.name}.since", len(SINCE_MS) + 2))
    for source in ("history", "profile"):
        found += [Column(f"{source}.{f.name}", f.rows) for f in getattr(schema, source)]
    return [*found, Column("cut.hour", 24)]


def levels(unit: Unit) -> np.ndarray:
    """The level of every column for every group of a unit, int64 [columns, C].

    Args:
        unit: with the times of all views.
    """
    everyone = np.arange(unit.groups)
    found = []
    for view in unit.schema.views:
        ids, times = unit.ids[view.name], unit.times[view.name]
        start, count = unit.spans(view.name, everyone)
        some = count > 0
        last = (start + count - 1)[some]
        ago = unit.at[some] - times[last]
        for i, feature in enumerate(view.features):
            of_last = discretize.age(ago) if feature.name == "age" else ids[last, i]
            found.append(_where(some, of_last.astype(np.int64) + 1))
            if nameable(feature):
                found.append(_where(some, np.where(ago == 0, found[-1][some], 0)))
        found.append(_bit_length(count))
        found.append(_where(some, np.searchsorted(SINCE_MS, ago, "right") + 1))
    for source in ("history", "profile"):
        of_groups = getattr(unit, source)
        found += [] if of_groups is None else list(of_groups.T.astype(np.int64))
    return np.stack([*found, unit.at % DAY_MS // HOUR_MS])


def _where(some: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`values` at the groups that have `some` action, 0 at the others."""
    out = np.zeros(len(some), np.int64)
    out[some] = values
    return out


def _bit_length(counts: np.ndarray) -> np.ndarray:
    """0, 1, 2, 3, 4 -> 0, 1, 2, 2, 3."""
    return np.searchsorted(2 ** np.arange(32), counts, "right").astype(np.int64)
