"""One group again and again, each time with something taken out: what that does to the score.

An action is taken out as if the app had never logged it: later ones move up, and stay as they are
otherwise. A history count that is taken out is one of 0, a profile feature is unknown.

Letters: B variants of the group, N positions of a window, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from intent.samples.fusion import fusion_order
from intent.samples.units import Unit
from intent.samples.windows import window_times
from intent.schema import DAY_MS, HISTORY_ACTIONS, HOUR_MS, Schema

TOGETHER = 64  # variants scored at a time
RECENT = (HOUR_MS // 6, HOUR_MS, DAY_MS)
NONE_BEFORE = 1  # the id of a history count of 0
FUSION = "fusion"  # among a unit's inputs, the order of early fusion


@dataclass(frozen=True)
class Group:
    """One sample group.

    Attributes:
        schema: the sources that the model takes.
        inputs: of the model, a batch of one.
        times: view -> [N] epoch ms of its actions.
        at: epoch ms of the cut.
    """

    schema: Schema
    inputs: dict[str, np.ndarray]
    times: dict[str, np.ndarray]
    at: int

    def real(self, view: str) -> np.ndarray:
        """[N] where a view has an action."""
        return self.inputs[view][0, :, self.schema.view(view).marker_column] > 0


@dataclass(frozen=True)
class Trial:
    """Something that is taken out.

    Attributes:
        part: what it is: "source", "kind" (of action), "fact" (of history or profile), "recent",
            "action", or "everything".
        source: view, "history" or "profile"; empty where it is of several.
        name: the kind's id, the fact's name, the time's length in ms, the action's position.
        gone: source -> which of its actions or features, booleans.
    """

    part: str
    source: str
    name: str | int
    gone: Mapping[str, np.ndarray]

    @property
    def count(self) -> int:
        """How many actions or features."""
        return int(sum(mask.sum() for mask in self.gone.values()))


def reduced(unit: Unit, schema: Schema) -> Unit:
    """A unit with the sources of `schema` alone; tasks stay."""
    return replace(
        unit,
        schema=replace(schema, tasks=unit.schema.tasks),
        history=unit.history if schema.history else None,
        profile=unit.profile if schema.profile else None,
    )


def group_of(unit: Unit, index: int, fusion: bool) -> Group:
    """A group of a unit; with `fusion`, the order of early fusion is among its inputs."""
    one, length = np.array([index]), unit.schema.length
    times = {
        view.name: window_times(unit.times[view.name], *unit.spans(view.name, one), length)[0]
        for view in unit.schema.views
    }
    return Group(unit.schema, unit.inputs(one, fusion), times, int(unit.at[index]))


def trials(group: Group) -> list[Trial]:
    """Everything that is worth taking out of a group; every single action is among it."""
    schema, found = group.schema, []
    real = {view.name: group.real(view.name) for view in schema.views}
    facts = {s: group.inputs[s][0] for s in ("history", "profile") if getattr(schema, s)}
    known = {s: ids > (NONE_BEFORE if s == "history" else 0) for s, ids in facts.items()}
    whole = real | known
    found.append(Trial("everything", "", "", whole))
    found += [Trial("source", source, source, {source: mask}) for source, mask in whole.items()]
    for view in schema.views:
        kinds = group.inputs[view.name][0, :, view.marker_column]
        several = np.unique(kinds[real[view.name]]).tolist()
        for kind in several if len(several) > 1 else ():
            found.append(Trial("kind", view.name, kind, {view.name: kinds == kind}))
    for name in HISTORY_ACTIONS if schema.history else ():
        mine = np.array([f.name.startswith(f"{name}_") for f in schema.history])
        found.append(Trial("fact", "history", name, {"history": mine & known["history"]}))
    for column, feature in enumerate(schema.profile):
        mine = np.arange(len(schema.profile)) == column
        found.append(Trial("fact", "profile", feature.name, {"profile": mine & known["profile"]}))
    seen = 0
    for span in RECENT:
        late = {v: mask & (group.times[v] > group.at - span) for v, mask in real.items()}
        trial = Trial("recent", "", span, late)
        if seen < trial.count < sum(mask.sum() for mask in real.values()):
            found.append(trial)
            seen = trial.count
    for view, mask in real.items():
        for i in np.flatnonzero(mask).tolist():
            found.append(Trial("action", view, i, {view: np.arange(len(mask)) == i}))
    return [trial for trial in found if trial.count or trial.part in ("everything", "source")]


def variants(group: Group, gone: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The model's inputs for the group without each of `gone`, a batch of B."""
    inputs, times, counts = {}, [], []
    for view in group.schema.views:
        name, ids = view.name, group.inputs[view.name][0]
        keep = group.real(name) & ~_masks(gone, name, len(ids))
        order, count = np.argsort(~keep, axis=1, kind="stable"), keep.sum(axis=1)
        out = ids[order]
        out[np.arange(len(ids)) >= count[:, None]] = 0
        inputs[name] = out
        times.append(group.times[name][order])
        counts.append(count)
    for source, nothing in (("history", NONE_BEFORE), ("profile", 0)):
        if source in group.inputs:
            ids = group.inputs[source]
            mask = _masks(gone, source, ids.shape[1])
            inputs[source] = np.where(mask, nothing, ids).astype(ids.dtype)
    if FUSION in group.inputs:
        inputs[FUSION] = fusion_order(times, counts, group.schema.length)
    return inputs


def without_padding(
    inputs: Mapping[str, np.ndarray], schema: Schema, fusion: bool
) -> dict[str, np.ndarray]:
    """Windows cut to the longest of them, which changes no score; early fusion takes them whole."""
    if fusion:
        return dict(inputs)
    markers = {view.name: view.marker_column for view in schema.views}
    counts = [(inputs[n][:, :, m] > 0).sum(axis=1).max() for n, m in markers.items()]
    longest = max([1, *counts])
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
