"""Labels that the inputs cannot tell: what a training must fail on, if nothing leaks.

Two controls. By lot, every label is drawn anew. Reversed, the labels are real and run backwards:
a group gets those of another moment, which were dealt to it by its place in the dataset alone.
docs/leakage.md says what each one shows, and why windows that run backwards would show nothing.

n groups of a row group, N row groups, T tasks.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from intent.samples.cells import unpack_cells
from intent.samples.layout import columns
from intent.samples.plan import generator
from intent.samples.rowgroups import read_row_groups
from intent.schema import Schema

_BACKWARDS = 1  # keeps the draw of the start apart from other draws of a row group


def by_lot(rates: Sequence[float], groups: int, seed: int, number: int) -> np.ndarray:
    """Labels of row group `number` drawn by lot at the tasks' base rates, uint8 [groups, T].

    Dealing out the true labels anew within it would keep how many there are: a batch or a shard
    with more buyers than others keeps them, and a few hundred steps learn from that.
    """
    lot = generator(seed, number).random((groups, len(rates)))
    return (lot < np.asarray(rates)).astype(np.uint8)


def donor(number: int, row_groups: int) -> int:
    """The row group whose labels row group `number` gets: the last one's go to the first.

    The one in the middle takes its neighbour's. Only a dataset of one row group has to do with its
    own.
    """
    mirrored = row_groups - 1 - number
    return mirrored if mirrored != number else (number + 1) % row_groups


def backwards(labels: np.ndarray, groups: int, seed: int, number: int) -> np.ndarray:
    """The labels [n, T] of the donor for the `groups` of row group `number`, back to front.

    They begin at a random place and go round: without that, labels of the evening would go to the
    morning's groups, and the hour of the day would tell, the wrong way round.
    """
    start = int(generator(seed, number, _BACKWARDS).integers(len(labels)))
    return labels[(start - np.arange(groups)) % len(labels)]


def reversed_labels(
    shares: Generator,
    root: str,
    units: Sequence[tuple[str, int]],
    numbers: Sequence[int],
    stored: Schema,
    tasks: Sequence[int],
    seed: int,
) -> Iterator[tuple]:
    """What the reader hands out, with the labels of the donors; closed, it closes the reader.

    Args:
        shares: (unit, ...) of each of the row groups `numbers`.
        root: of the dataset; units: (path, row group) of all its row groups.
        stored: the schema of the dataset; tasks: which of its tasks are wanted.
        seed: of the places where labels begin.
    """
    kind = columns(stored)["labels"]

    def decode(table: pa.Table, _: int) -> np.ndarray:
        cells = table["labels"].combine_chunks()
        ((labels, _),) = unpack_cells([cells], [(kind.dtype, kind.tail, kind.counts)])
        return labels[:, list(tasks)]

    items = [units[donor(number, len(units))] for number in numbers]
    donated = read_row_groups(root, items, ["labels"], workers=1, prefetch=1, convert=decode)
    try:
        for number, (unit, *rest), labels in zip(numbers, shares, donated, strict=True):
            yield replace(unit, labels=backwards(labels, unit.groups, seed, number)), *rest
    finally:
        shares.close()
        donated.close()
