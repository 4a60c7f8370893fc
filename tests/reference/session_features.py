"""Session features of one group, written out in plain Python, one action at a time.

It shares no code with `intent.baselines` but the names of the features, which are built here anew.
An action is a dict feature -> id, with "ago": ms before the cut. Lists are oldest first.
"""

from __future__ import annotations

import math
from statistics import fmean, pstdev

LEVELS = {
    "1m": 60_000, "5m": 300_000, "30m": 1_800_000, "1h": 3_600_000, "1d": 86_400_000,
    "all": math.inf,
}  # fmt: skip
NONE = math.nan
BROWSE = ("browse", "search", "collect", "cart", "purchase", "type6")
SWIPE = ("open_page", "leave_page", "swipe", "tap")
TAP = ("page", "button")


def recent(actions: list[dict], level: str) -> list[dict]:
    return [a for a in actions if a["ago"] < LEVELS[level]]


def middle(id_: int, fine: int, coarse: int, levels: int) -> float:
    """Middle of the step of a discretized time (ms); the last level's beginning."""

    def start(level: int) -> int:
        fine_steps = coarse // fine
        return level * fine if level < fine_steps else (level - fine_steps + 1) * coarse

    return start(id_ - 1) if id_ == levels else (start(id_ - 1) + start(id_)) / 2


def amounts(name: str, values: list[float]) -> dict:
    if not values:
        return {f"{name}.{k}": NONE for k in ("mean", "spread", "max", "last")}
    return {
        f"{name}.mean": fmean(values), f"{name}.spread": pstdev(values),
        f"{name}.max": max(values), f"{name}.last": values[-1],
    }  # fmt: skip


def activity(view: str, actions: list[dict], marker: str, names: tuple[str, ...]) -> dict:
    found = {}
    for level in LEVELS:
        found[f"{view}.n.{level}"] = len(recent(actions, level))
        for i, name in enumerate(names, 1):
            same = [a for a in recent(actions, level) if a[marker] == i]
            found[f"{view}.{name}.{level}"] = len(same)
    agos = [a["ago"] / 1000 for a in actions]
    found[f"{view}.since"] = min(agos, default=NONE)
    found[f"{view}.reach"] = max(agos, default=NONE)
    for i, name in enumerate(names, 1):
        same = [a["ago"] / 1000 for a in actions if a[marker] == i]
        found[f"{view}.since.{name}"] = min(same, default=NONE)
    for level in ("30m", "all"):
        for i, a in enumerate(names, 1):
            for j, b in enumerate(names, 1):
                steps = [
                    y for x, y in zip(actions, actions[1:], strict=False)
                    if x[marker] == i and y[marker] == j and y["ago"] < LEVELS[level]
                ]  # fmt: skip
                found[f"{view}.{a}>{b}.{level}"] = len(steps)
    return found | sessions(view, actions)


def sessions(view: str, actions: list[dict]) -> dict:
    parts: list[list[float]] = []
    for a in actions:
        if not parts or parts[-1][-1] - a["ago"] >= 30 * 60_000:
            parts.append([])
        parts[-1].append(a["ago"])
    now = parts[-1] if parts else []
    gaps = [a - b for a, b in zip(now, now[1:], strict=False)]
    return {
        f"{view}.sessions": len(parts),
        f"{view}.session.n": len(now),
        f"{view}.session.length": now[0] / 1000 if now else NONE,
        f"{view}.session.gap": fmean(gaps) / 1000 if gaps else NONE,
    }


def variety(view: str, actions: list[dict], feature: str, levels: tuple[str, str]) -> dict:
    found = {}
    for level in levels:
        ids = [a[feature] for a in recent(actions, level) if a[feature]]
        most = max((ids.count(i) for i in ids), default=0)
        place = f"{view}.{feature}"
        found[f"{place}.kinds.{level}"] = len(set(ids))
        found[f"{place}.most.{level}"] = most / len(ids) if ids else NONE
        found[f"{place}.last.{level}"] = ids.count(ids[-1]) / len(ids) if ids else NONE
    return found


def frequent(view: str, actions: list[dict], feature: str, top: int, levels) -> dict:
    found = {}
    for level in levels:
        ids = [a[feature] for a in recent(actions, level)]
        found |= {f"{view}.{feature}.{i}.{level}": ids.count(i) for i in range(1, top + 1)}
    return found


def browse(actions: list[dict], tops: dict[str, int]) -> dict:
    long = ("30m", "all")
    found = activity("browse", actions, "type", BROWSE)
    for feature in ("leaf_category", "top_category", "page"):
        found |= variety("browse", actions, feature, long)
    found |= frequent("browse", actions, "page", tops["browse.page"], long)
    found |= frequent("browse", actions, "top_category", tops["browse.top_category"], long)

    def stays(some: list[dict]) -> list[float]:
        return [middle(a["stay_time"], 1000, 60_000, 179) / 1000 for a in some if a["stay_time"]]

    found |= {f"browse.stay.{level}": sum(stays(recent(actions, level))) for level in LEVELS}
    found |= amounts("browse.stay", stays(actions))
    leaves = [a["leaf_category"] for a in actions if a["leaf_category"]]
    here = [a for a in actions if leaves and a["leaf_category"] == leaves[-1]]
    for i, name in enumerate(BROWSE, 1):
        found[f"browse.same_leaf.{name}"] = len([a for a in here if a["type"] == i])
    found["browse.same_leaf.reach"] = max((a["ago"] / 1000 for a in here), default=NONE)
    for back in (1, 2, 3):
        last = actions[-back]["type"] if len(actions) >= back else 0
        found[f"browse.last_type.{back}"] = last
    return found


def swipe(actions: list[dict], tops: dict[str, int]) -> dict:
    short = ("5m", "all")
    found = activity("swipe", actions, "action", SWIPE) | variety("swipe", actions, "page", short)
    found |= frequent("swipe", actions, "page", tops["swipe.page"], short)
    for feature, names in (("right_left", ("right", "left")), ("up_down", ("up", "down"))):
        for level in short:
            for i, name in enumerate(names, 1):
                same = [a for a in recent(actions, level) if a[feature] == i]
                found[f"swipe.{name}.{level}"] = len(same)

    def seconds(a: dict) -> float:
        return middle(a["duration"], 25, 250, 20) / 1000 if a["duration"] else 0

    def length(a: dict, name: str) -> float:
        segments = {"length_x": 17, "length_y": 25}[name]
        id_, sign = a[name], 1
        if id_ > segments:
            id_, sign = id_ - segments, -1
        return sign * (id_ - 0.5) / segments if id_ else 0

    for name in ("length_x", "length_y"):
        values = [length(a, name) for a in actions if a[name]]
        found |= amounts(f"swipe.{name}", [abs(v) for v in values])
        found[f"swipe.{name}.net"] = sum(values)
    for level in short:
        some = [a for a in recent(actions, level) if a["duration"]]
        found |= amounts(f"swipe.duration.{level}", [seconds(a) for a in some])
        speeds = [
            math.hypot(length(a, "length_x"), length(a, "length_y")) / max(seconds(a), 1e-3)
            for a in some if a["length_y"]
        ]  # fmt: skip
        found |= amounts(f"swipe.speed.{level}", speeds)
    found["swipe.duration.sum"] = sum(seconds(a) for a in actions)
    gaps = [a["time_gap"] for a in actions if a["time_gap"]]
    found |= amounts("swipe.gap", [middle(g, 100, 1000, 20) / 1000 for g in gaps])
    found["swipe.gap.long"] = gaps.count(20) / len(gaps) if gaps else NONE
    for name, segments in (("tap_x", 17), ("tap_y", 25)):
        places = [(a[name] - 0.5) / segments for a in actions if a[name]]
        found |= amounts(f"swipe.{name}", places)
    return found


def tap(actions: list[dict], tops: dict[str, int]) -> dict:
    short = ("5m", "all")
    found = activity("tap", actions, "event", TAP)
    for feature in ("page", "button"):
        found |= variety("tap", actions, feature, short)
        found |= frequent("tap", actions, feature, tops[f"tap.{feature}"], short)
    pairs = list(zip(actions, actions[1:], strict=False))
    again = [a for a, b in pairs if a["button"] == b["button"] != 0]
    found["tap.button.again"] = len(again)
    return found | amounts("tap.gap", [(a["ago"] - b["ago"]) / 1000 for a, b in pairs])


VIEWS = {"browse": browse, "swipe": swipe, "tap": tap}
