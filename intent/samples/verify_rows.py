"""What must be true of any groups, whoever wrote them: checked on the arrays of a row group.

Letters: R rows (a user's day each), C cuts, A actions, F features.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from intent.samples.exclusion import NOTHING, Exclusion
from intent.samples.manifest import Manifest
from intent.samples.scan import Part
from intent.schema import DAY_MS, Feature

SCOPES = {  # check -> what it looks at
    "cuts": "inside their day, ascending, horizon observed",
    "windows": "end at their cut, actions in order of time",
    "ids": "within the sizes of the schema, none that is hidden",
    "padding": "nothing but padding is 0 in the marker",
    "labels": "0 or 1; a shorter horizon implies a longer",
}


def check_part(
    part: Part, manifest: Manifest, day: str, exclusion: Exclusion = NOTHING
) -> Iterator[tuple[str, str]]:
    """What is wrong with a part, as (check, sentence); the sentence counts and gives an example.

    Args:
        part: some user-days of the dataset.
        manifest: of the dataset.
        day: "YYYY-MM-DD", in which all cuts must lie.
        exclusion: actions that no window may show.
    """
    for name, found in (
        ("cuts", _cuts(part, manifest, day)),
        ("windows", _windows(part)),
        ("ids", _ids(part, exclusion)),
        ("padding", _padding(part)),
        ("labels", _labels(part)),
    ):
        for bad, sentence in found:
            if bad.any():
                example = int(np.flatnonzero(bad)[0])
                yield name, sentence.format(n=f"{int(bad.sum()):,}", i=example)


def _cuts(part: Part, manifest: Manifest, day: str):
    at, first = part.unit.at, part.first
    start = int(np.datetime64(day, "ms").astype(np.int64))
    yield (at < start) | (at >= start + DAY_MS), "{n} cuts are not of the day, as cut {i}"
    again = np.diff(at, prepend=at[:1] - 1) <= 0
    again[first] = False
    yield again, "{n} cuts are not after the one before, as cut {i}"
    many = part.cuts > manifest.cuts_per_day
    yield many, "{n} rows have more than cuts_per_day cuts, as row {i}"
    ends = [b.span[1] for b in manifest.builds if day in b.days]
    if ends:
        longest = max(t.horizon_ms for t in manifest.schema.tasks)
        late = at + longest >= max(ends)
        yield late, "{n} cuts have a horizon that was not observed to its end, as cut {i}"


def _windows(part: Part):
    unit = part.unit
    for view in unit.schema.views:
        name, times, end = view.name, unit.times[view.name], unit.end[view.name]
        bounds = part.bounds(name)
        stop = np.repeat(bounds[1:], part.cuts)
        outside = (end < unit.low[name]) | (end > stop)
        yield outside, f"{name}: {{n}} cuts end outside their track, as cut {{i}}"
        back = np.diff(times, prepend=times[:1]) < 0
        back[bounds[:-1][bounds[:-1] < len(times)]] = False
        yield back, f"{name}: {{n}} actions are earlier than the one before, as action {{i}}"
        if outside.any():
            continue
        padded = np.r_[times, np.iinfo(np.int64).max]
        after = (end > unit.low[name]) & (padded[end - 1] > unit.at)
        yield after, f"{name}: {{n}} windows hold an action after their cut, as cut {{i}}"
        short = (end < stop) & (padded[end] <= unit.at)
        yield short, f"{name}: {{n}} windows lack an action before their cut, as cut {{i}}"


def _ids(part: Part, exclusion: Exclusion):
    unit = part.unit
    for view in unit.schema.views:
        ids = unit.ids[view.name]
        yield from _in_range(view.name, view.features, ids)
        told = f"{view.name}: {{n}} actions should be hidden (samples.exclude), as action {{i}}"
        yield exclusion.hides(view.name, ids), told
    for source in ("history", "profile"):
        ids = getattr(unit, source)
        if ids is not None:
            yield from _in_range(source, getattr(unit.schema, source), ids)
    if unit.history is not None:
        yield (unit.history == 0).any(axis=1), "history: {n} cuts have an id 0, as cut {i}"


def _in_range(name: str, features: tuple[Feature, ...], ids: np.ndarray):
    highest = ids.max(axis=0, initial=0)
    for i, feature in enumerate(features):
        if highest[i] >= feature.rows:
            sentence = f"{name}.{feature.name}: {{n}} ids above {feature.rows - 1}, as number {{i}}"
            yield ids[:, i] >= feature.rows, sentence


def _padding(part: Part):
    for view in part.unit.schema.views:
        bad = part.unit.ids[view.name][:, view.marker_column] == 0
        yield bad, f"{view.name}: {{n}} actions have {view.marker} 0, as action {{i}}"


def _labels(part: Part):
    labels, tasks = part.unit.labels, part.unit.schema.tasks
    yield (labels > 1).any(axis=1), "{n} groups have a label that is not 0 or 1, as group {i}"
    order = sorted(range(len(tasks)), key=lambda i: tasks[i].horizon_ms)
    for short, long in zip(order[:-1], order[1:], strict=True):
        odd = labels[:, short] > labels[:, long]
        names = f"{tasks[short].name} but not for {tasks[long].name}"
        yield odd, f"{{n}} groups are positive for {names}, as group {{i}}"
