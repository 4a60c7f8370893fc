"""Groups and positives by level, and by bucket of users: all that the report is made from.

Users fall into K buckets by a hash of their names. A bucket is a set of users that no other bucket
shares, so what varies between buckets beyond chance is what groups of one user have in common:
intervals and cross-fitting need no more than these counts, however many users there are.

C groups, K buckets, L levels of all columns, E levels that have names, T tasks.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from intent.samples.leaks.columns import columns, levels
from intent.samples.units import Unit
from intent.schema import Schema

BUCKETS = 64
CELLS = 4096  # of the bitmap in which a level's users are counted
MOST_USERS = 30_000  # beyond which the bitmap is too full to tell


class Counts:
    """Counts that grow with every unit; some 55 MiB with the paper's dictionaries.

    Attributes:
        columns: what is looked at; slices: where the levels of each are among all L.
        groups: [K, L]; positives: [T, K, L].
    """

    def __init__(self, schema: Schema) -> None:
        self.columns = columns(schema)
        ends = np.cumsum([c.levels for c in self.columns])
        self.slices = {
            c.name: slice(end - c.levels, end) for c, end in zip(self.columns, ends, strict=True)
        }
        self._first = np.array([s.start for s in self.slices.values()])
        self.groups = np.zeros((BUCKETS, ends[-1]), np.int32)
        self.positives = np.zeros((len(schema.tasks), BUCKETS, ends[-1]), np.int32)
        self._named = [i for i, c in enumerate(self.columns) if c.feature is not None]
        named = [np.arange(ends[-1])[self.slices[self.columns[i].name]] for i in self._named]
        self._place = np.full(ends[-1], -1)  # where a named level's bitmap is
        self._place[np.concatenate([*named, np.zeros(0, int)])] = np.arange(sum(map(len, named)))
        self._seen = np.zeros((sum(map(len, named)), CELLS // 8), np.uint8)

    def add(self, unit: Unit, labels: np.ndarray | None = None) -> None:
        """Add the groups of a unit.

        Args:
            labels: [C, T] to be counted in place of its own.
        """
        labels = unit.labels if labels is None else labels
        users = pd.util.hash_array(unit.users, categorize=False)
        bucket = (users % np.uint64(BUCKETS)).astype(np.int64)
        index = levels(unit) + self._first[:, None]
        flat = bucket * self.groups.shape[1] + index
        np.add.at(self.groups.reshape(-1), flat.reshape(-1), 1)
        for task, counted in enumerate(self.positives):
            mine = flat[:, labels[:, task] > 0]
            np.add.at(counted.reshape(-1), mine.reshape(-1), 1)
        cell = (users // np.uint64(BUCKETS) % np.uint64(CELLS)).astype(np.int64)
        bit = np.broadcast_to((1 << (cell & 7)).astype(np.uint8), (len(self._named), len(cell)))
        place = self._place[index[self._named]]
        np.bitwise_or.at(self._seen, (place, np.broadcast_to(cell >> 3, place.shape)), bit)

    def users(self, level: np.ndarray) -> np.ndarray:
        """About how many users the named levels `level` [n] were seen with, int64 [n].

        Of a bitmap with m cells, of which X are set, -m ln(1 - X / m): to within one for tens of
        users, 2 % for thousands. (Whang et al. 1990, linear counting.) `MOST_USERS` at most.
        """
        if not len(level):
            return np.zeros(0, np.int64)
        free = CELLS - np.unpackbits(self._seen[self._place[level]], axis=1).sum(axis=1, dtype=int)
        found = -CELLS * np.log(np.maximum(free, 1) / CELLS)
        return np.minimum(np.rint(found), MOST_USERS).astype(np.int64)
