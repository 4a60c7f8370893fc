"""One group again and again, each time with something taken out: what that does to the score.

An action is taken out as if the app had never logged it: into a full window an older action moves,
in a shorter one the later ones move up. All others stay as they are. A history count that is taken
out is one of 0, a profile feature is unknown.

Letters: B variants of the group, N positions of a window, M = 2 N, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from intent.samples.fusion import fusion_order
from intent.samples.units import Unit
from intent.samples.windows import window_times
from intent.schema import DAY_MS, HOUR_MS, Schema

TOGETHER = 64  # variants scored at a time
RECENT = (HOUR_MS // 6, HOUR_MS, DAY_MS)
SHORTEST = 2  # positions: of a softmax over one, Keras warns
NONE_BEFORE = 1  # the id of a history count of 0


@dataclass(frozen=True)
class Group:
    """One sample group, with the actions before its windows.

    Attributes:
        schema: the sources that the model takes.
        tracks: view -> ids [M, F], left-aligned: the window's actions after as many older ones, or
            as many as the data still has.
        times: view -> [M] epoch ms of these.
        facts: "history" and "profile", where the schema has them -> ids.
        at: epoch ms of the cut.
        fusion: whether the model takes the order of early fusion.
    """

    schema: Schema
    tracks: dict[str, np.ndarray]
    times: dict[str, np.ndarray]
    facts: dict[str, np.ndarray]
    at: int
    fusion: bool

    def kinds(self, view: str) -> np.ndarray:
        """[M] the marker's ids of a view's actions, which tell what kind each is; 0 is padding."""
        return self.tracks[view][:, self.schema.view(view).marker_column]

    def window(self, view: str) -> np.ndarray:
        """Which actions of a view's track are in its window, [M]."""
        real = self.kinds(view) > 0
        return real & (np.cumsum(real) > real.sum() - self.schema.length)


@dataclass(frozen=True)
class Trial:
    """Something that is taken out.

    Attributes:
        part: what it is: "source", "kind" (of action), "fact" (of history or profile), "recent",
            "action", or "everything".
        source: view, "history" or "profile"; empty where it is of several.
        name: the kind's id, the fact's name, the time's length in ms, the action's place in the
            window.
        count: how many actions of the windows, or how many features, it takes out.
        gone: view -> [M] which actions of its track; "history", "profile" -> which features.
    """

    part: str
    source: str
    name: str | int
    count: int
    gone: Mapping[str, np.ndarray]


def reduced(unit: Unit, schema: Schema) -> Unit:
    """A unit with the sources of `schema` alone; tasks stay."""
    return replace(
        unit,
        schema=replace(schema, tasks=unit.schema.tasks),
        history=unit.history if schema.history else None,
        profile=unit.profile if schema.profile else None,
    )


def group_of(unit: Unit, index: int, fusion: bool) -> Group:
    """A group of a unit; `fusion` as in `Unit.inputs`."""
    schema, one = unit.schema, np.array([index])
    longer = replace(unit, schema=replace(schema, length=2 * schema.length))
    inputs = longer.inputs(one)
    times = {
        view.name: window_times(
            unit.times[view.name], *longer.spans(view.name, one), longer.schema.length
        )[0]
        for view in schema.views
    }
    return Group(
        schema=schema,
        tracks={view.name: inputs[view.name][0] for view in schema.views},
        times=times,
        facts={name: inputs[name][0] for name in ("history", "profile") if name in inputs},
        at=int(unit.at[index]),
        fusion=fusion,
    )


def trials(group: Group) -> list[Trial]:
    """Everything that is worth taking out of a group; every action of its windows is among it."""
    known = {
        source: ids > (NONE_BEFORE if source == "history" else 0)
        for source, ids in group.facts.items()
    }
    windows = {view.name: group.window(view.name) for view in group.schema.views}
    everything = {view: group.kinds(view) > 0 for view in windows} | known
    counted = windows | known
    found = [Trial("everything", "", "", sum(int(m.sum()) for m in counted.values()), everything)]
    for source, gone in everything.items():
        found.append(Trial("source", source, source, int(counted[source].sum()), {source: gone}))
    for view, window in windows.items():
        found += _kinds(group, view, window)
    found += _facts(group, known)
    found += _recent(group, windows)
    for view, window in windows.items():
        for place, i in enumerate(np.flatnonzero(window).tolist()):
            found.append(Trial("action", view, place, 1, {view: np.arange(len(window)) == i}))
    return found


def _kinds(group: Group, view: str, window: np.ndarray) -> list[Trial]:
    """All actions of a kind, also the older ones: none of them moves into the window."""
    kinds = group.kinds(view)
    names, counts = np.unique(kinds[window], return_counts=True)
    if len(names) < 2:
        return []
    counted = zip(names.tolist(), counts.tolist(), strict=True)
    return [Trial("kind", view, kind, n, {view: kinds == kind}) for kind, n in counted]


def _facts(group: Group, known: Mapping[str, np.ndarray]) -> list[Trial]:
    """The history counts of an action, and each feature of the profile."""
    names = {"history": [f.name.rpartition("_")[0] for f in group.schema.history]}
    names["profile"] = [f.name for f in group.schema.profile]
    found = []
    for source, there in known.items():
        for name in dict.fromkeys(names[source]):
            gone = there & (np.array(names[source]) == name)
            if gone.any():
                found.append(Trial("fact", source, name, int(gone.sum()), {source: gone}))
    return found


def _recent(group: Group, windows: Mapping[str, np.ndarray]) -> list[Trial]:
    """The last minutes, hours, days: those that differ from one another and from everything."""
    found, seen, everything = [], 0, sum(window.sum() for window in windows.values())
    for span in RECENT:
        gone = {v: (group.kinds(v) > 0) & (group.times[v] > group.at - span) for v in windows}
        count = int(sum((gone[v] & windows[v]).sum() for v in windows))
        if seen < count < everything:
            found.append(Trial("recent", "", span, count, gone))
            seen = count
    return found


def variants(group: Group, gone: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The model's inputs for the group without each of `gone`, a batch of B."""
    length, inputs, times, counts = group.schema.length, {}, [], []
    for view in group.schema.views:
        track = group.tracks[view.name]
        keep = (group.kinds(view.name) > 0) & ~_masks(gone, view.name, len(track))
        later = np.cumsum(keep[:, ::-1], axis=1)[:, ::-1]  # how many are kept from here on
        keep &= later <= length
        order = np.argsort(~keep, axis=1, kind="stable")[:, :length]
        count = keep.sum(axis=1)
        out = track[order]
        out[np.arange(length) >= count[:, None]] = 0
        inputs[view.name] = out
        times.append(group.times[view.name][order])
        counts.append(count)
    for source, ids in group.facts.items():
        nothing = NONE_BEFORE if source == "history" else 0
        mask = _masks(gone, source, len(ids))
        inputs[source] = np.where(mask, nothing, ids).astype(ids.dtype)
    if group.fusion and times:
        inputs["fusion"] = fusion_order(times, counts, length)
    return inputs


def without_padding(inputs: Mapping[str, np.ndarray], schema: Schema) -> dict[str, np.ndarray]:
    """Windows cut to the longest of them, which changes no score; early fusion takes them whole."""
    if "fusion" in inputs:
        return dict(inputs)
    markers = {view.name: view.marker_column for view in schema.views}
    counts = [(inputs[n][:, :, m] > 0).sum(axis=1).max() for n, m in markers.items()]
    longest = max([min(SHORTEST, schema.length), *counts])
    return {n: ids[:, :longest] if n in markers else ids for n, ids in inputs.items()}


def score_in_parts(score: Callable, inputs: Mapping | Sequence) -> np.ndarray:
    """`score` [B, T] of many variants, `TOGETHER` at a time and always so many: one compilation.

    Args:
        score: of inputs in the structure given.
        inputs: arrays of B rows, named or in order.
    """
    from intent.progress import progress

    named = isinstance(inputs, Mapping)
    arrays = list(inputs.values()) if named else list(inputs)
    batch = len(arrays[0])
    size, found = min(batch, TOGETHER), []
    with progress("scoring variants", batch, "variants", visible=batch > TOGETHER) as bar:
        for first in range(0, batch, size):
            rows = np.minimum(np.arange(first, first + size), batch - 1)
            part = [array[rows] for array in arrays]
            found.append(np.asarray(score(dict(zip(inputs, part, strict=True)) if named else part)))
            bar.advance(min(size, batch - first))
    return np.concatenate(found)[:batch]


def _masks(gone: Sequence[Mapping[str, np.ndarray]], source: str, width: int) -> np.ndarray:
    """[B, width] what is taken out of a source by each of `gone`."""
    none = np.zeros(width, bool)
    return np.stack([one.get(source, none) for one in gone])
