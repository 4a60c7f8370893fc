"""Runs taken apart again: the rows of complete buckets, in the one canonical order.

The order depends on nothing but the rows themselves, so ties at one millisecond come out the same
whatever the partitioning, the number of executors and the retries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intent.features import tables
from intent.features.encode import ids_type
from intent.features.history import TIME_BITS
from intent.features.words import text_hash
from intent.samples.runs import ACCOUNT, TABLE_OF_KIND, WITH_DELAY, bucket_of, row_type


@dataclass(frozen=True)
class Rows:
    """Rows of one table in canonical order: by user, time, ids, tie, delay.

    Attributes:
        key: [n] user << TIME_BITS | time.
        ids: [n, features].
        delay: [n] ms from happening to receipt, or None.
        repeated: [n] whether the row is an exact copy of the one before.
    """

    key: np.ndarray
    ids: np.ndarray
    delay: np.ndarray | None
    repeated: np.ndarray

    def only(self, chosen: np.ndarray) -> Rows:
        """Some of the rows, in the same order."""
        delay = None if self.delay is None else self.delay[chosen]
        return Rows(self.key[chosen], self.ids[chosen], delay, self.repeated[chosen])


@dataclass(frozen=True)
class Records:
    """All usable rows of some users.

    Attributes:
        users: names by code, ordered by bucket, then name.
        user_hash: [users] uint64.
        rows: table -> rows; every table of `TABLES` is there.
    """

    users: pa.Array
    user_hash: np.ndarray
    rows: Mapping[str, Rows]


def unpack(table: pa.Table, buckets: int) -> tuple[Records, list[dict]]:
    """The records and the accounts in the runs of complete buckets.

    Args:
        table: runs.
        buckets: number of buckets, as they were packed with.
    """
    kinds = table["kind"].to_numpy()
    texts = table.filter(pa.array(kinds == ACCOUNT))["rows"].to_pylist()
    found = {
        int(kind): _Part.of(table.filter(pa.array(kinds == kind)), int(kind))
        for kind in np.unique(kinds[kinds != ACCOUNT])
    }
    names = [part.names for part in found.values()] or [pa.array([], pa.string())]
    coded = pa.concat_arrays(names).dictionary_encode()
    users, code = coded.dictionary, coded.indices.to_numpy()
    hashed = text_hash(users) if len(users) else np.zeros(0, np.uint64)
    by_name = pa.table({"bucket": bucket_of(hashed, buckets), "name": users})
    order = pc.sort_indices(by_name, [("bucket", "ascending"), ("name", "ascending")]).to_numpy()
    rank = np.empty(len(users), np.int64)
    rank[order] = np.arange(len(users))
    parts: dict[str, list] = {name: [] for name in tables.TABLES}
    offset = 0
    for kind, part in found.items():
        user = rank[code[offset + part.user]]
        offset += len(part.names)
        name = TABLE_OF_KIND[kind & ~WITH_DELAY].name
        parts[name].append((user << TIME_BITS | part.time, part.rows))
    rows = {name: _sorted(name, found) for name, found in parts.items()}
    records = Records(users.take(pa.array(order)), hashed[order], rows)
    return records, [json.loads(text) for text in texts]


@dataclass(frozen=True)
class _Part:
    """The runs of one kind: `user` [n] indexes `names`, which are those of each run in turn."""

    names: pa.Array
    user: np.ndarray
    time: np.ndarray
    rows: np.ndarray

    @staticmethod
    def of(table: pa.Table, kind: int) -> _Part:
        cells = {n: _joined(table[n]) for n in ("sizes", "names", "rows")}
        sizes = np.frombuffer(cells["sizes"][0], "<u4")
        rows = np.frombuffer(cells["rows"][0], row_type(kind))
        ends = np.zeros(len(sizes) + 1, np.int32)
        np.cumsum(sizes, out=ends[1:])
        names = pa.Array.from_buffers(
            pa.string(), len(sizes), [None, pa.py_buffer(ends), pa.py_buffer(cells["names"][0])]
        )
        first = (np.cumsum(cells["sizes"][1]) - cells["sizes"][1]) // 4
        user = np.repeat(first, cells["rows"][1] // rows.itemsize) + rows["user"]
        time = rows["high"].astype(np.int64) << 32 | rows["low"]
        return _Part(names, user, time, rows)


def _sorted(table: str, parts: list[tuple[np.ndarray, np.ndarray]]) -> Rows:
    """The rows of a table in their canonical order."""
    dtype, width = ids_type(table)
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Rows(nothing, np.zeros((0, width), dtype), None, nothing.astype(bool))
    key = np.concatenate([k for k, _ in parts])
    ids = np.concatenate([r["ids"] for _, r in parts])
    tie = np.concatenate([r["tie"] for _, r in parts])
    delay = None
    if any("delay" in r.dtype.names for _, r in parts):
        unknown = [np.zeros(len(r), "<u4") for _, r in parts]
        known = zip((r for _, r in parts), unknown, strict=True)
        delay = np.concatenate([r["delay"] if "delay" in r.dtype.names else u for r, u in known])
    order = np.argsort(key)
    same = np.flatnonzero(np.diff(key[order]) == 0)
    if len(same):  # rows of one user and millisecond: few, and only they need more than the key
        tied = np.zeros(len(key), bool)
        tied[same] = tied[same + 1] = True
        rows = order[tied]
        late = np.zeros(len(rows)) if delay is None else delay[rows]
        by = [late, tie[rows], *ids[rows].T[::-1], key[rows]]
        order[tied] = rows[np.lexsort(by)]
    key, ids, tie = key[order], ids[order], tie[order]
    repeated = np.zeros(len(key), bool)
    if len(same):
        equal = (tie[same] == tie[same + 1]) & (ids[same] == ids[same + 1]).all(axis=1)
        repeated[same[equal] + 1] = True
    return Rows(key, ids, None if delay is None else delay[order], repeated)


def _joined(column: pa.ChunkedArray) -> tuple[bytes | pa.Buffer, np.ndarray]:
    """All cells of a binary column one after the other, and the size of each."""
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], pa.binary())
    ends = np.frombuffer(whole.buffers()[1], np.int32)[whole.offset : whole.offset + len(whole) + 1]
    data = whole.buffers()[2]
    if data is None:
        return b"", np.diff(ends)
    return data.slice(int(ends[0]), int(ends[-1] - ends[0])), np.diff(ends)
