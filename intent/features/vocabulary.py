"""Dictionaries: names to ids, by frequency. Id 0 is "no name", 1 is unknown, names start at 2."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intent import storage
from intent.errors import IntentError
from intent.schema import Schema

UNKNOWN = 1
FIRST = 2


@dataclass(frozen=True)
class Vocabulary:
    """The names of one feature, most frequent first, with how often each was seen."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @staticmethod
    def top(counts: Mapping[str, int], size: int) -> Vocabulary:
        """The `size` most frequent names; ties are broken by name, so any order gives the same."""
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:size]
        return Vocabulary(tuple(n for n, _ in ranked), tuple(int(c) for _, c in ranked))

    @cached_property
    def _value_set(self) -> pa.Array:
        return pa.array(self.names, pa.string())

    def ids(self, column: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Ids of a string column: 0 where null, 1 where unknown, else 2 + rank. int64 [n]."""
        if not len(column):
            return np.zeros(0, np.int64)
        found = pc.index_in(column, value_set=self._value_set, skip_nulls=True)
        rank = pc.fill_null(found, UNKNOWN - FIRST).to_numpy(zero_copy_only=False)
        missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        return np.where(missing, 0, rank.astype(np.int64) + FIRST)

    def name(self, id_: int) -> str | None:
        """The name of an id; None for 0, "(unknown)" for 1."""
        if id_ < FIRST:
            return "(unknown)" if id_ == UNKNOWN else None
        return self.names[id_ - FIRST]


@dataclass(frozen=True)
class Dictionaries:
    """The vocabulary of every vocabulary feature, keyed "view.feature", such as "tap.button"."""

    vocabularies: Mapping[str, Vocabulary]

    @staticmethod
    def keys(schema: Schema) -> dict[str, int]:
        """Key and size of every vocabulary that `schema` needs."""
        return {
            f"{view.name}.{feature.name}": feature.dictionary
            for view in schema.views
            for feature in view.features
            if feature.unknown
        }

    @staticmethod
    def from_counts(counts: Mapping[str, Mapping[str, int]], schema: Schema) -> Dictionaries:
        """The most frequent names of each feature, up to Table 3's sizes."""
        return Dictionaries(
            {k: Vocabulary.top(counts.get(k, {}), n) for k, n in Dictionaries.keys(schema).items()}
        )

    def __getitem__(self, key: str) -> Vocabulary:
        return self.vocabularies[key]

    def to_dict(self) -> dict:
        """{key: {"names": [...], "counts": [...]}}, for JSON."""
        return {
            key: {"names": list(v.names), "counts": list(v.counts)}
            for key, v in sorted(self.vocabularies.items())
        }

    @staticmethod
    def from_dict(data: Mapping) -> Dictionaries:
        """The inverse of `to_dict`."""
        return Dictionaries(
            {k: Vocabulary(tuple(v["names"]), tuple(v["counts"])) for k, v in data.items()}
        )

    @staticmethod
    def load(path: str | Path) -> Dictionaries:
        """Read a dictionaries-*.json, here or at a URL; IntentError where it is not one."""
        try:
            return Dictionaries.from_dict(json.loads(storage.read_text(path)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntentError(
                f"{path} is not a dictionaries.json written by intent ({error})"
            ) from error

    def hash(self) -> str:
        """16 hex digits that change with any name or its rank."""
        names = {key: v.names for key, v in sorted(self.vocabularies.items())}
        return hashlib.blake2b(json.dumps(names).encode(), digest_size=8).hexdigest()
