"""Encoded rows on their way through the shuffle: many small binary rows are few large ones.

A **bucket** is a share of the users, by the hash of their name: some ten thousand rows that are
built together. A task that reads logs sorts what it has read by bucket, user and time, and hands
Spark one **run** for each bucket and table: up to RUN_ROWS rows of NumPy bytes with the names of
their users. So what the JVM moves and sorts are runs, not rows.

    run   place, bucket | kind | sizes, names: the users | rows: user, time, tie, [delay,] ids

A run of kind ACCOUNT holds one unusable row as JSON, or the number of rows that are not wanted.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from intent.errors import IntentError
from intent.features import tables
from intent.features.encode import DROPPED, Encoded, ids_type, raw_json
from intent.features.history import TIME_BITS, TIME_MASK
from intent.features.words import text_hash

RUN = pa.schema(
    [
        ("place", pa.int64()),  # Spark's hash of it is the task that the bucket belongs to
        ("bucket", pa.int64()),
        ("kind", pa.int8()),
        ("sizes", pa.binary()),
        ("names", pa.binary()),
        ("rows", pa.binary()),
    ]
)
RUN_ROWS = 512  # some 12 KiB, so that a batch of thousands of runs stays small
RUNS_PER_BATCH = 1024
ACCOUNT = -1
MOST_USERS = 1 << (63 - TIME_BITS)  # whose codes fit into a key beside the time
WITH_DELAY = 8  # added to the kind of runs whose rows say how long they took to arrive

TABLE_OF_KIND = {t.kind: t for t in tables.TABLES.values()}


def row_type(kind: int) -> np.dtype:
    """Layout of a row in a run: 12 bytes (16 with the delay) and its ids."""
    dtype, width = ids_type(TABLE_OF_KIND[kind & ~WITH_DELAY].name)
    fields = [("user", "<u2"), ("low", "<u4"), ("high", "<u2"), ("tie", "<u4")]
    if kind & WITH_DELAY:
        fields.append(("delay", "<u4"))
    return np.dtype([*fields, ("ids", dtype, (width,))])


def bucket_of(user_hash: np.ndarray, buckets: int) -> np.ndarray:
    """The bucket of each user, int64 in [0, buckets)."""
    return ((user_hash >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)).astype(np.int64)


@dataclass(frozen=True)
class Places:
    """Where buckets go: bucket b to the task that `keys[b % len(keys)]` names, b < `buckets`."""

    buckets: int
    keys: np.ndarray


ONE_PLACE = Places(1, np.zeros(1, np.int64))  # all users together, for whoever shuffles nothing


def accounts(encoded: Encoded, batch: pa.RecordBatch | pa.Table) -> Iterator[dict]:
    """One entry for each unusable row, one for all rows of a reason that are not wanted."""
    table = encoded.table.name
    for k, reason in enumerate(encoded.faults, 1):
        rows = np.flatnonzero(encoded.fault == k)
        if reason in DROPPED:
            if len(rows):
                yield {"table": table, "reason": reason, "rows": len(rows)}
        else:
            for raw in raw_json(batch, rows):
                yield {"table": table, "reason": reason, "raw": raw}


def account_runs(entries: Sequence[dict], places: Places) -> Iterator[pa.RecordBatch]:
    """Accounts as runs, spread over the buckets by their text."""
    texts = [json.dumps(entry).encode() for entry in entries]
    bucket = np.array([zlib.crc32(t) * places.buckets >> 32 for t in texts], np.int64)
    nothing = pa.array([b""] * len(texts), pa.binary())
    columns = [
        pa.array(places.keys[bucket % len(places.keys)]),
        pa.array(bucket),
        pa.array(np.full(len(texts), ACCOUNT, np.int8)),
        nothing,
        nothing,
        pa.array(texts, pa.binary()),
    ]
    if texts:
        whole = pa.RecordBatch.from_arrays(columns, schema=RUN)
        for start in range(0, len(texts), RUNS_PER_BATCH):
            yield whole.slice(start, RUNS_PER_BATCH)


def runs(pieces: Sequence[Encoded], places: Places) -> Iterator[pa.RecordBatch]:
    """The usable rows of encoded batches of one table as runs, ordered by bucket.

    Args:
        pieces: at least one; at most some million rows together.
        places: how many buckets, and where they go.
    """
    good = [np.flatnonzero(p.fault == 0) for p in pieces]
    if not sum(map(len, good)):
        return
    coded = [
        pa.DictionaryArray.from_arrays(pa.array(p.user.codes[g].astype(np.int32)), p.user.names)
        for p, g in zip(pieces, good, strict=True)
    ]
    users = pa.chunked_array(coded).unify_dictionaries()
    names = users.chunk(0).dictionary
    code = np.concatenate([c.indices.to_numpy() for c in users.chunks])
    if len(names) > MOST_USERS:
        raise IntentError(
            f"{len(names):,} users at once are more than the {MOST_USERS:,} that keys have room "
            "for; give fewer rows at a time"
        )
    bucket = bucket_of(text_hash(names), places.buckets)
    by_bucket = np.argsort(bucket, kind="stable")
    rank = np.empty(len(names), np.int64)
    rank[by_bucket] = np.arange(len(names))

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(p, name)[g] for p, g in zip(pieces, good, strict=True)])

    key = rank[code] << TIME_BITS | column("time")
    order = np.argsort(key)
    key = key[order]
    user = key >> TIME_BITS
    kind = pieces[0].table.kind + (WITH_DELAY if pieces[0].delay is not None else 0)
    rows = np.empty(len(key), row_type(kind))
    time = key & TIME_MASK
    rows["low"], rows["high"] = time & 0xFFFFFFFF, time >> 32
    for name in ("tie", "ids", *(["delay"] if kind & WITH_DELAY else [])):
        rows[name] = column(name)[order]

    of_row = bucket[by_bucket[user]]
    starts = _starts(of_row)
    within = np.arange(len(key)) - np.repeat(starts, np.diff(np.r_[starts, len(key)]))
    new_run = within % RUN_ROWS == 0
    new_user = new_run | np.r_[True, np.diff(user) != 0]
    run_start = np.flatnonzero(new_run)
    pair_start = np.flatnonzero(new_user)  # a pair is a run and one of its users
    pair = np.cumsum(new_user) - 1
    first_pair = pair[run_start]
    rows["user"] = pair - np.repeat(first_pair, np.diff(np.r_[run_start, len(key)]))

    who = names.take(pa.array(by_bucket[user[pair_start]]))
    ends = np.frombuffer(who.buffers()[1], np.int32)[who.offset : who.offset + len(who) + 1]
    sizes = np.diff(ends).astype("<u4")
    pairs = np.r_[first_pair, len(who)]
    run_bucket = of_row[run_start]
    columns = [
        pa.array(places.keys[run_bucket % len(places.keys)]),
        pa.array(run_bucket),
        pa.array(np.full(len(run_start), kind, np.int8)),
        _cells(sizes, pairs * sizes.itemsize),
        pa.Array.from_buffers(
            pa.binary(), len(run_start), [None, pa.py_buffer(ends[pairs].copy()), who.buffers()[2]]
        ),
        _cells(rows, np.r_[run_start, len(rows)] * rows.itemsize),
    ]
    whole = pa.RecordBatch.from_arrays(columns, schema=RUN)
    for start in range(0, whole.num_rows, RUNS_PER_BATCH):
        yield whole.slice(start, RUNS_PER_BATCH)


def _starts(values: np.ndarray) -> np.ndarray:
    """Where each stretch of equal values begins."""
    return np.flatnonzero(np.r_[True, np.diff(values) != 0])


def _cells(array: np.ndarray, ends: np.ndarray) -> pa.Array:
    """Binary cells that are stretches of an array's bytes, without copying them."""
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(array)]
    return pa.Array.from_buffers(pa.binary(), len(ends) - 1, buffers)
