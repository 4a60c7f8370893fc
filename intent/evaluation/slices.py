"""Figures by slice: for whom, and when, is the model good?

A slice is a part of the groups that a question about the user or the moment makes. In each the AUC
is that among its own groups, with an interval from its own users.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from intent import metrics
from intent.evaluation import bootstrap
from intent.evaluation.predict import Predictions
from intent.schema import DAY_MS, HOUR_MS, Task

ACTION_EDGES = (1, 10, 50, 200, 500)  # first number of actions of each slice but the first
HOURS = 3  # of the day in a slice
PHONE_LEVELS = (4, 8)  # first level of phone price of each slice but the first
# What the samples cannot tell apart, and why.
NOT_THERE = {
    "screen": "Screen size is no slice: samples hold positions as segments of each device's own "
    "screen (17 by 25, Table 3), and not the screen. The price of the phone, where the profile has "
    "it, is the nearest that is known of the device.",
    "actions": "Length of the window is no slice: these predictions do not say it (the model "
    "reads no view, or `intent evaluate` was of an older version).",
    "past": "New and old users are no slice: the samples hold no history counts.",
}
ALONE = {
    "past": "New or old user",
    "actions": "Number of actions in the windows",
    "hour": "Hour of the day",
    "phone_price": "Price of the phone",
}


@dataclass(frozen=True)
class Slice:
    """Some of n groups.

    Attributes:
        kind: the question, e.g. "past".
        value: the answer, in words.
        mask: bool [n].
    """

    kind: str
    value: str
    mask: np.ndarray


def slices_of(times: np.ndarray, facts: dict[str, np.ndarray]) -> Iterator[Slice]:
    """The slices that have any group, by kind and in their natural order.

    Args:
        times: [n] epoch ms.
        facts: see `facts.facts_of`.
    """
    if "past" in facts:
        past = facts["past"] > 0
        yield from _some("past", {"new users": ~past, "old users": past})
    if "actions" in facts:
        yield from _ranges("actions", facts["actions"], ACTION_EDGES, ("none", "or more"))
    hour = np.asarray(times) % DAY_MS // HOUR_MS
    named = {f"{h:02}:00 to {h + HOURS:02}:00": hour // HOURS == h // HOURS for h in
             range(0, 24, HOURS)}  # fmt: skip
    yield from _some("hour", named)
    if "phone_price" in facts:
        known = facts["phone_price"] >= 0
        low, high = PHONE_LEVELS
        level = facts["phone_price"]
        named = {
            f"level 0 to {low - 1}": known & (level < low),
            f"level {low} to {high - 1}": (level >= low) & (level < high),
            f"level {high} or more": level >= high,
            "not known": ~known,
        }
        yield from _some("phone_price", named)


def by_slice(
    found: Predictions, tasks: Sequence[Task], *, resamples: int = 1000, seed: int = 0
) -> dict:
    """Figures of every slice.

    Returns {"rows", "notes"}, valid but for NaN: rows are {"kind", "value", "groups", "users",
    "positives": {task: count}, "auc", "base_rate", "mean_score": {task: estimate}}, where an
    estimate is {"value", "ci95"}; notes say in sentences which kinds are not there, or have all
    groups in one slice.
    """
    rows, notes = [], [v for k, v in NOT_THERE.items() if k not in found.facts]
    for part in slices_of(found.times, found.facts):
        if part.mask.all():
            notes.append(f"{ALONE[part.kind]} is no slice: every group is of {part.value}.")
            continue
        codes, n_users = bootstrap.user_codes(found.users[part.mask])
        row: dict = {"kind": part.kind, "value": part.value}
        row |= {"groups": int(part.mask.sum()), "users": n_users, "positives": {}}
        for i, task in enumerate(tasks):
            y = found.labels[part.mask, i].astype(float)
            figures = _figures(
                found.scores[task.name][part.mask], y, found.weights[part.mask], codes, n_users,
                resamples, seed,
            )  # fmt: skip
            row["positives"][task.name] = int(y.sum())
            for name, value in figures.items():
                row.setdefault(name, {})[task.name] = value
        rows.append(row)
    return {"rows": rows, "notes": notes}


def _figures(p, y, w, codes, n_users: int, resamples: int, seed: int) -> dict:
    p, y, w = metrics.check_probabilities(p, y, w)
    ranked = bootstrap.ranking(p, y, codes, None if (w == 1).all() else w)
    ranked = bootstrap.unless_few(ranked, y, codes)
    means = bootstrap.means(np.stack([y, p], axis=1), codes, n_users, w)

    def together(w_U: np.ndarray) -> np.ndarray:
        return np.append(ranked(w_U)[:1], means(w_U))

    auc, base, mean = bootstrap.estimate(together, n_users, resamples, seed)
    return {"auc": auc, "base_rate": base, "mean_score": mean}


def _some(kind: str, named: dict[str, np.ndarray]) -> Iterator[Slice]:
    for value, mask in named.items():
        if mask.any():
            yield Slice(kind, value, mask)


def _ranges(
    kind: str, numbers: np.ndarray, edges: tuple[int, ...], ends: tuple[str, str]
) -> Iterator[Slice]:
    """Below the first edge, from each to the next, and from the last on."""
    place = np.searchsorted(edges, numbers, "right")
    inner = [f"{a} to {b - 1}" for a, b in zip(edges, edges[1:], strict=False)]
    values = [ends[0], *inner, f"{edges[-1]} {ends[1]}"]
    yield from _some(kind, {value: place == i for i, value in enumerate(values)})
