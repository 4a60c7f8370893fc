"""Actions that windows do not show: `samples.exclude`.

An action that gives the label away (the pay button, the order page) makes a model that is right too
late. It is hidden from the input and from nothing else: labels and history counts still know it.
What is hidden is said by name, as in the dictionaries, so that samples, training and device agree:
all of them call `resolve` with the dataset's dictionaries and `read_life` with what it returns.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from intent.errors import UsageError
from intent.features import tables
from intent.features.vocabulary import UNKNOWN, Dictionaries
from intent.schema import Feature, Schema

EXCLUDED = "excluded"  # why such a row is dropped
# Features of words that are no dictionary: their ids are 1, 2, ...
KINDS = {
    "action": tables.TOUCH_ACTIONS,
    "event": tables.TAP_EVENTS,
    "type": tables.BROWSE_TYPES,
}
_UNKNOWN_NAME = "(unknown)"  # as `Vocabulary.name` calls it
_EXAMPLE = "such as tap.button=Button_Pay"


@dataclass(frozen=True)
class Exclusion:
    """Which actions are hidden; small and picklable.

    Attributes:
        entries: "view.feature=name", sorted.
        ids: view -> column -> ids; an action that has any of them is hidden.
    """

    entries: tuple[str, ...] = ()
    ids: Mapping[str, Mapping[int, tuple[int, ...]]] = field(default_factory=dict)

    def hides(self, view: str, ids: np.ndarray) -> np.ndarray:
        """Which of the actions [n, features] of a view are hidden, bool [n]."""
        hidden = np.zeros(len(ids), bool)
        for column, values in self.ids.get(view, {}).items():
            hidden |= np.isin(ids[:, column], values)
        return hidden


NOTHING = Exclusion()


def nameable(feature: Feature) -> bool:
    """Whether actions can be hidden by this feature: it has names, not levels."""
    return feature.unknown or feature.name in KINDS


def check(entries: Iterable[str], schema: Schema) -> None:
    """UsageError where an entry is no "view.feature=name" of this schema; names are not judged."""
    for entry in entries:
        _parsed(entry, schema)


def resolve(entries: Iterable[str], schema: Schema, dictionaries: Dictionaries) -> Exclusion:
    """The actions that `entries` name, by their ids in `dictionaries`.

    Raises:
        UsageError: a feature or a name does not exist; the nearest ones that do are named.
    """
    ids: dict[str, dict[int, tuple[int, ...]]] = {}
    entries = tuple(sorted(set(entries)))
    for entry in entries:
        view, feature, name = _parsed(entry, schema)
        column = schema.view(view).column(feature.name)
        of_view = ids.setdefault(view, {})
        of_view[column] = (*of_view.get(column, ()), _id(view, feature, name, dictionaries))
    return Exclusion(entries, ids)


def _parsed(entry: str, schema: Schema) -> tuple[str, Feature, str]:
    """View, feature and name of an entry."""
    key, equals, name = entry.partition("=")
    if not equals or not name:
        raise UsageError(f"samples.exclude takes view.feature=name, {_EXAMPLE}; got {entry!r}")
    valid = {f"{v.name}.{f.name}": (v.name, f) for v in schema.views for f in v.features}
    levels = key in valid and not nameable(valid[key][1])
    valid = {known: found for known, found in valid.items() if nameable(found[1])}
    if key not in valid:
        near = [] if levels else difflib.get_close_matches(key, valid, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}={name}?" if near else f"there are {', '.join(valid)}"
        hint = f"it has levels and no names; {hint}" if levels else hint
        raise UsageError(
            f"samples.exclude: {entry!r} names {key!r}, by which no action of these logs can be "
            f"hidden: {hint}"
        )
    return *valid[key], name


def _id(view: str, feature: Feature, name: str, dictionaries: Dictionaries) -> int:
    if not feature.unknown:
        names, first = KINDS[feature.name], 1
    else:
        names, first = dictionaries[f"{view}.{feature.name}"].names, UNKNOWN + 1
    if name in names:
        return names.index(name) + first
    if feature.unknown and name == _UNKNOWN_NAME:
        return UNKNOWN
    raise UsageError(_unknown_name(f"{view}.{feature.name}", feature, name, names))


def _unknown_name(key: str, feature: Feature, name: str, names: tuple[str, ...]) -> str:
    lower = {known.lower(): known for known in reversed(names)}
    near = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)]
    if near:
        hint = f"nearest: {', '.join(near)}"
    else:
        hint = f"the first: {', '.join(names[:5])}" if names else "it has no names at all"
    told = f"samples.exclude: {key} knows no {name!r}; {hint}"
    if feature.unknown:
        told += (
            f". Its dictionary has the {len(names):,} most frequent names; rarer ones are all "
            f"{key}={_UNKNOWN_NAME}"
        )
    return told
