"""Do all readers deliver the same groups? Every group's arrays are hashed; the order is not."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.feed import readers, records
from intent.samples import manifest as manifests


def fingerprints(parts: Iterable[dict[str, np.ndarray]], names: list[str]) -> Counter[int]:
    """How often each group is there, by the checksum of its arrays' bytes; parts are [B, ...]."""
    found: Counter[int] = Counter()
    for part in parts:
        flat = [np.ascontiguousarray(part[n]).reshape(len(part[n]), -1) for n in names]
        joined = np.concatenate([a.view(np.uint8) for a in flat], axis=1)
        found.update(map(zlib.crc32, joined))
    return found


def check(
    tracks: str, dense: str, written: dict[str, str], rows: int, cores: int, begun: float
) -> dict[str, int]:
    """Groups by reader; RuntimeError where a reader's differ from ours.

    Petastorm's rows are compared one by one until there are `rows` of them: all of those must be
    groups of ours.
    """
    schema = manifests.load(tracks).schema
    names = list(records.fields(schema))

    def ours():
        for batch in readers.feed(tracks).batches(0):
            real = batch.weights > 0
            arrays = {**batch.inputs, records.LABELS: batch.labels}
            yield {name: arrays[name][real] for name in names}

    known = fingerprints(ours(), names)
    counts = {"ours": known.total()}
    readers.tensorflow(cores)
    for form, folder in written.items():
        for parse in ("batch", "row"):
            how = records.Pipeline(form, parse, buffer=1024)
            found = records.dataset(Path(folder), schema, how, cores).as_numpy_iterator()
            counts[f"{form}, {parse}"] = _same(form, fingerprints(found, names), known)
    some: Counter[int] = Counter()
    for row in readers.petastorm_rows(dense):
        some += fingerprints([{name: values[None] for name, values in row.items()}], names)
        if some.total() == rows:
            break
    whole = some.total() == known.total()
    if some - known or (whole and known - some):
        raise RuntimeError(f"{(some - known).total()} rows of Petastorm's are no groups of ours")
    return counts | {"petastorm": some.total()}


def _same(name: str, found: Counter[int], known: Counter[int]) -> int:
    if found != known:
        more, less = (found - known).total(), (known - found).total()
        raise RuntimeError(f"{name}: {more} groups that are not ours, {less} of ours missing")
    return found.total()
