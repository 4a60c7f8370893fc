"""Aggregates of the swipe and the tap view: what touch data are worth without a network."""

from __future__ import annotations

import numpy as np

from intent.baselines import common, counting
from intent.baselines.columns import Columns, milliseconds, screens
from intent.baselines.common import SHORT, Window
from intent.baselines.counting import LEVELS
from intent.features import discretize
from intent.features.tables import TAP_EVENTS, TOUCH_ACTIONS

PAGES, BUTTONS = 60, 150  # names that are counted by themselves
DIRECTIONS = {"right_left": ("right", "left"), "up_down": ("up", "down")}


def swipe_features(out: Columns, window: Window) -> list[str]:
    """Adds the features of the swipe view; none of them is a category."""
    common.activity(out, window, TOUCH_ACTIONS)
    common.sessions(out, window)
    common.variety(out, window, ("page",), SHORT)
    common.frequent(out, window, "page", PAGES, SHORT)
    for feature, names in DIRECTIONS.items():
        ids = window.column(feature)
        for level in SHORT:
            found = counting.counts(ids, window.within(level), 2)
            out.add_all([f"swipe.{name}.{LEVELS[level]}" for name in names], found)
    _gestures(out, window)
    return []


def _gestures(out: Columns, window: Window) -> None:
    """Durations (s), lengths (screens), speeds (screens a second), gaps (s), where taps fall."""
    view = window.view

    def described(name: str):
        return view.features[view.column(name)], window.column(name)

    feature, lasting = described("duration")
    seconds = milliseconds(discretize.duration, feature)[lasting] / 1000
    lengths = {}
    for name in ("length_x", "length_y"):
        feature, ids = described(name)
        lengths[name] = screens(feature, signed=True)[ids]
        common.amounts(out, f"swipe.{name}", np.abs(lengths[name]), ids > 0)
        out.add(f"swipe.{name}.net", np.where(ids > 0, lengths[name], 0).sum(axis=1))
    swiped = window.column("length_y") > 0
    for level in SHORT:
        of = window.within(level)
        text = LEVELS[level]
        common.amounts(out, f"swipe.duration.{text}", seconds, of & (lasting > 0))
        speed = np.hypot(*lengths.values()) / np.maximum(seconds, 1e-3)
        common.amounts(out, f"swipe.speed.{text}", speed, of & swiped & (lasting > 0))
    out.add("swipe.duration.sum", np.where(lasting > 0, seconds, 0).sum(axis=1))
    feature, ids = described("time_gap")
    gaps = milliseconds(discretize.time_gap, feature)[ids] / 1000
    common.amounts(out, "swipe.gap", gaps, ids > 0)
    longest = (ids == feature.dictionary).sum(axis=1)
    out.add("swipe.gap.long", counting.share(longest, (ids > 0).sum(axis=1)))
    for name in ("tap_x", "tap_y"):
        feature, ids = described(name)
        common.amounts(out, f"swipe.{name}", screens(feature, signed=False)[ids], ids > 0)


def tap_features(out: Columns, window: Window) -> list[str]:
    """Adds the features of the tap view; none of them is a category."""
    common.activity(out, window, TAP_EVENTS)
    common.sessions(out, window)
    common.variety(out, window, ("page", "button"), SHORT)
    common.frequent(out, window, "page", PAGES, SHORT)
    common.frequent(out, window, "button", BUTTONS, SHORT)
    button = window.column("button")
    again = window.real[:, 1:] & (button[:, 1:] == button[:, :-1]) & (button[:, 1:] > 0)
    out.add("tap.button.again", again.sum(axis=1))
    gap = (window.age_ms[:, :-1] - window.age_ms[:, 1:]) / 1000
    common.amounts(out, "tap.gap", gap, window.real[:, 1:])
    return []
