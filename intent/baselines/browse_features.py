"""Session features of the browse view, in the manner of the winners of the RecSys Challenge 2015.

Romov and Sokolov, "RecSys Challenge 2015: ensemble learning with categorical features": counts of a
session, its times and durations, and how concentrated it is on items and categories. Theirs is one
session of a shop; ours is a window of the last actions, so counts are by recency too.
"""

from __future__ import annotations

import numpy as np

from intent.baselines import common, counting
from intent.baselines.columns import Columns, milliseconds, named
from intent.baselines.common import LONG, Window
from intent.baselines.counting import LEVELS
from intent.features import discretize
from intent.features.tables import BROWSE_TYPES

PAGES, CATEGORIES = 60, 40  # names that are counted by themselves
LAST = 3  # actions whose types are told


def browse_features(out: Columns, window: Window) -> list[str]:
    """Adds the features of the browse view; returns the names of those that are categories."""
    common.activity(out, window, BROWSE_TYPES)
    common.sessions(out, window)
    common.variety(out, window, ("leaf_category", "top_category", "page"), LONG)
    common.frequent(out, window, "page", PAGES, LONG)
    common.frequent(out, window, "top_category", CATEGORIES, LONG)
    _dwell(out, window)
    _same_leaf(out, window)
    return _last_types(out, window)


def _dwell(out: Columns, window: Window) -> None:
    """Seconds stayed: by recency in sum, and how they are spread."""
    feature = window.view.features[window.view.column("stay_time")]
    ids = window.column("stay_time")
    stay = milliseconds(discretize.stay_time, feature)[ids] / 1000
    told = ids > 0
    sums = counting.recent_sums(np.ones_like(ids), window.level, told, 1, stay)[:, :, 0]
    out.add_all([f"browse.stay.{text}" for text in LEVELS], sums)
    common.amounts(out, "browse.stay", stay, told)


def _same_leaf(out: Columns, window: Window) -> None:
    """What was done in the leaf category of the last action that has one."""
    feature = window.view.features[window.view.marker_column]
    leaf = window.column("leaf_category")
    here = (leaf > 0) & (leaf == counting.last(leaf, leaf > 0, 0)[:, None])
    names = [f"browse.same_leaf.{name}" for name in named(feature, BROWSE_TYPES)]
    out.add_all(names, counting.counts(window.column("type"), here, feature.dictionary))
    out.add("browse.same_leaf.reach", counting.most(window.age_ms / 1000, here))


def _last_types(out: Columns, window: Window) -> list[str]:
    """The types of the last actions, 0 where there are fewer."""
    code, n = window.column("type"), window.real.sum(axis=1)
    names = [f"browse.last_type.{i}" for i in range(1, LAST + 1)]
    for back, name in enumerate(names, start=1):
        place = np.maximum(n - back, 0)
        out.add(name, np.where(n >= back, code[np.arange(len(code)), place], 0))
    return names
