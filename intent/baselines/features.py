"""Session features: one row of numbers for each sample group.

They are made from the windows that the networks are given (the last actions at or before t0),
history and profile; and from the times of those actions and t0 itself, its hour and weekday, of
which networks know less. Nothing after t0 is in there.

Letters: B groups, K features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from intent.baselines.browse_features import browse_features
from intent.baselines.columns import Columns
from intent.baselines.common import Window
from intent.baselines.touch_features import swipe_features, tap_features
from intent.schema import DAY_MS, HOUR_MS, Schema

OF_VIEW = {"browse": browse_features, "swipe": swipe_features, "tap": tap_features}
PART = 512  # groups whose windows are looked at together: what stays in a processor's cache
WEEKDAY, FIRST_WEEKDAY = "time.weekday", 3  # 1970-01-01 was a Thursday; Monday is 0


@dataclass(frozen=True)
class Features:
    """Session features of B groups.

    Attributes:
        names: [K]; categorical: those of them that are categories, whole numbers from 0.
        values: [B, K] float32; NaN stands for "there is none", such as the time since a purchase.
    """

    names: tuple[str, ...]
    categorical: tuple[str, ...]
    values: np.ndarray


def session_features(inputs: Mapping[str, np.ndarray], at: np.ndarray, schema: Schema) -> Features:
    """The features of some groups.

    Args:
        inputs: source -> ids as a feed gives them (`samples.feed.Batch`), and "VIEW_times" [B, N]
            beside each view (`TrackFeed.action_times`).
        at: [B] epoch ms of the cuts.
        schema: the views, history and profile to make features of; others are left alone.

    Raises KeyError where the inputs lack one of these.
    """
    parts = [
        _part({name: ids[low : low + PART] for name, ids in inputs.items()}, at[low : low + PART],
              schema)
        for low in range(0, max(len(at), 1), PART)
    ]  # fmt: skip
    names, categorical, _ = parts[0]
    return Features(names, categorical, np.concatenate([values for _, _, values in parts]))


def _part(
    inputs: Mapping[str, np.ndarray], at: np.ndarray, schema: Schema
) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    out, categorical = Columns(), [WEEKDAY]
    out.add("time.hour", at % DAY_MS / HOUR_MS)  # UTC: logs know no other
    out.add(WEEKDAY, (at // DAY_MS + FIRST_WEEKDAY) % 7)
    for view in schema.views:
        if view.name not in OF_VIEW:
            raise KeyError(f"no features are known for the view {view.name!r}")
        window = Window.of(view, inputs[view.name], inputs[f"{view.name}_times"], at)
        categorical += OF_VIEW[view.name](out, window)
    if schema.history:
        ids = inputs["history"].astype(np.float32)  # id 1 is none, the last is "or more"
        out.add_all([f.name for f in schema.history], np.where(ids > 0, ids - 1, np.nan))
    if schema.profile:
        names = [f"profile.{f.name}" for f in schema.profile]
        out.add_all(names, inputs["profile"])
        categorical += names
    return tuple(out.names), tuple(categorical), out.matrix()
