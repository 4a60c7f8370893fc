"""One sample group in words: the names and ranges that its ids stand for."""

from __future__ import annotations

import numpy as np

from intent.features import discretize, tables
from intent.features.vocabulary import Dictionaries
from intent.samples.peek import iso
from intent.samples.units import Unit
from intent.samples.windows import window_times
from intent.schema import DAY_MS, HOUR_MS, Feature, View

_STEPS = {
    "time_gap": discretize.time_gap,
    "duration": discretize.duration,
    "stay_time": discretize.stay_time,
    "age": discretize.age,
}
_WORDS = {
    "action": tables.TOUCH_ACTIONS,
    "event": tables.TAP_EVENTS,
    "type": tables.BROWSE_TYPES,
    "right_left": ("right", "left"),
    "up_down": ("up", "down"),
}
_WAYS = {"length_x": ("right", "left"), "length_y": ("down", "up")}
_UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (60_000, "min"), (1000, "s"))
POSITIONS = ("tap_x", "tap_y", "start_x", "start_y", "end_x", "end_y")


def describe_cut(unit: Unit, index: int) -> dict:
    """A group's cut: {"time" (epoch ms), "at" (ISO 8601), "labels", "lengths"}."""
    schema = unit.schema
    found = {
        "time": int(unit.at[index]),
        "at": iso(unit.at[index]),
        "labels": {t.name: int(unit.labels[index, i]) for i, t in enumerate(schema.tasks)},
        "lengths": {v.name: min(_reach(unit, v.name, index), schema.length) for v in schema.views},
    }
    if unit.since[index]:
        found["session_start"] = iso(unit.since[index])
    return found


def describe_group(
    unit: Unit, index: int, dictionaries: Dictionaries, last: int, views: list[str]
) -> dict:
    """Everything that a group holds, as JSON can say it.

    Args:
        unit, index: the group, see `intent.samples.peek.group_at`.
        last: how many actions of each view, the latest; 0 for all.
        views: names of the views whose actions are wanted.

    Returns: what `describe_cut` says, and
        user: its name;
        profile: feature -> {"id", "level"}; the level is None where it is unknown;
        history: feature -> {"id", "count"}, a text such as "3" or "19 or more";
        views: view -> actions, the oldest first: {"time" (epoch ms), "before_ms" (the cut), "ids":
            feature -> id, "words": feature -> text}; None where a feature does not apply.
    """
    schema, one = unit.schema, np.array([index])
    inputs = unit.inputs(one)
    found = {"user": str(unit.users[index]), **describe_cut(unit, index)}
    if schema.profile:
        ids = zip(schema.profile, inputs["profile"][0].tolist(), strict=True)
        found["profile"] = {f.name: {"id": i, "level": i - 1 if i else None} for f, i in ids}
    if schema.history:
        ids = zip(schema.history, inputs["history"][0].tolist(), strict=True)
        found["history"] = {f.name: {"id": i, "count": count_words(i, f)} for f, i in ids}
    found["views"] = {}
    for name in views:
        length = found["lengths"][name]
        start = max(0, length - last) if last else 0
        span = unit.spans(name, one)
        times = window_times(unit.times[name], *span, schema.length)[0, start:length]
        actions = zip(times.tolist(), inputs[name][0, start:length].tolist(), strict=True)
        found["views"][name] = [
            {
                "time": time,
                "before_ms": found["time"] - time,
                **_action(schema.view(name), ids, dictionaries),
            }
            for time, ids in actions
        ]
    return found


def _reach(unit: Unit, view: str, index: int) -> int:
    """How many actions a group could see if windows had no end."""
    return int(unit.end[view][index] - unit.low[view][index])


def _action(view: View, ids: list[int], dictionaries: Dictionaries) -> dict:
    by_name = {f.name: i for f, i in zip(view.features, ids, strict=True)}
    words = {f.name: meaning(view, f, by_name[f.name], dictionaries) for f in view.features}
    return {"ids": by_name, "words": words}


def meaning(view: View, feature: Feature, id_: int, dictionaries: Dictionaries) -> str | None:
    """What an id stands for: a name, or the range of values that have it; None for 0.

    "Page_Home", "(unknown)", "100-199 ms", "2-3 h", "over 10 s", "24-29 %" (of the screen's
    width or height, from the left or the top), "up 4-8 %".
    """
    name = feature.name
    if id_ == 0:
        return None
    if feature.unknown:
        return dictionaries[f"{view.name}.{name}"].name(id_)
    if name in _STEPS:
        return range_words(*_STEPS[name].bounds(id_))
    if name in _WAYS:
        sign, *share = discretize.length_segment(id_, feature.dictionary // 2)
        return f"{_WAYS[name][sign < 0]} {share_words(*share)}"
    if name in POSITIONS:
        return share_words(*discretize.segment(id_, feature.dictionary))
    known = _WORDS.get(name, ())
    return known[id_ - 1] if id_ <= len(known) else f"id {id_}"


def count_words(id_: int, feature: Feature) -> str:
    """A history count's id as a number; the last one is "19 or more"."""
    return f"{id_ - 1}{' or more' if id_ == feature.dictionary else ''}"


def share_words(low: float, high: float) -> str:
    """0.235, 0.294 -> "24-29 %"."""
    return f"{100 * low:.0f}-{100 * high:.0f} %"


def range_words(low: float, high: float) -> str:
    """Milliseconds [low, high) in their largest common unit: "100-199 ms", "1-2 h", "over 10 s"."""
    for size, name in _UNITS:
        if low % size == 0 and (np.isinf(high) or high % size == 0):
            if np.isinf(high):
                return f"over {low // size} {name}"
            return f"{low // size}-{high // size} {name}"
    return f"{low}-{high - 1} ms"


def ago(ms: int) -> str:
    """How long before: "350 ms", "3.2 s", "45 s", "2 min 5 s", "3 h 20 min", "2 d 1 h"."""
    if ms < 1000:
        return f"{ms} ms"
    if ms < 10_000:
        return f"{ms // 100 / 10:g} s"
    unit = next(i for i, (size, _) in enumerate(_UNITS) if ms >= size)
    size, name = _UNITS[unit]
    amount, rest = divmod(ms, size)
    if amount >= 10:
        return f"{amount} {name}"
    finer, its_name = _UNITS[unit + 1]
    return f"{amount} {name} {rest // finer} {its_name}"
