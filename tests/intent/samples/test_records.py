"""What goes into a run comes out of it, in an order that depends on nothing but the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from intent.errors import IntentError
from intent.features import tables
from intent.features.encode import Limits, encode
from intent.features.history import TIME_BITS, TIME_MASK
from intent.samples import runs as packing
from intent.samples.records import unpack
from intent.samples.runs import RUN, Places, bucket_of, runs
from tests.support.build import DICTIONARIES
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module")
def logs():
    return random_logs(users=9, days=3)


def packed(logs, pieces=1, buckets=5, seed=None):
    """Runs of all tables, each table read in some pieces and maybe in another order."""
    found = []
    for name, frame in logs.items():
        if seed is not None:
            frame = frame.sample(frac=1, random_state=seed)
        parts = [frame.iloc[i::pieces] for i in range(pieces)]
        encoded = [
            encode(name, pa.Table.from_pandas(p, preserve_index=False), DICTIONARIES) for p in parts
        ]
        found += (
            [
                *runs(encoded[:1], Places(buckets, np.arange(2))),
                *runs(encoded[1:] or encoded[:0], Places(buckets, np.arange(2))),
            ]
            if len(encoded) > 1
            else runs(encoded, Places(buckets, np.arange(2)))
        )
    return pa.Table.from_batches(found, RUN)


def test_every_row_comes_back_with_its_user_time_and_ids(logs):
    records, texts = unpack(packed(logs), 5)
    assert not texts
    names = records.users.to_pylist()
    for name, frame in logs.items():
        rows = records.rows[name]
        encoded = encode(name, pa.Table.from_pandas(frame, preserve_index=False), DICTIONARIES)
        expected = zip(frame.user_id, encoded.time, map(bytes, encoded.ids), strict=True)
        got = zip(
            [names[u] for u in rows.key >> TIME_BITS],
            rows.key & TIME_MASK,
            [bytes(np.ascontiguousarray(r)) for r in rows.ids],
            strict=True,
        )
        assert sorted(got) == sorted(expected)
        assert (np.diff(rows.key) >= 0).all()


def test_users_are_in_the_order_of_their_buckets_then_names(logs):
    records, _ = unpack(packed(logs), 5)
    bucket = bucket_of(records.user_hash, 5)
    order = list(zip(bucket, records.users.to_pylist(), strict=True))
    assert order == sorted(order) and len(set(bucket)) > 1


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_the_order_depends_on_nothing_but_the_rows(logs, pieces, monkeypatch):
    logs = {name: pd.concat([f, f.head(20)]) for name, f in logs.items()}  # exact copies
    logs["browse"] = logs["browse"].assign(  # many rows of one millisecond
        timestamp=logs["browse"].timestamp // 3_600_000 * 3_600_000
    )
    first, _ = unpack(packed(logs), 5)
    monkeypatch.setattr(packing, "RUN_ROWS", 16)
    again, _ = unpack(packed(logs, pieces, seed=pieces), 5)
    assert first.users.equals(again.users)
    for name in logs:
        a, b = first.rows[name], again.rows[name]
        assert (a.key == b.key).all() and (a.ids == b.ids).all()
        assert (a.repeated == b.repeated).all() and a.repeated.sum() == min(
            20, len(logs[name]) // 2
        )


def test_without_the_canonical_order_the_comparison_would_fail(logs):
    browse = logs["browse"].assign(timestamp=logs["browse"].timestamp // 3_600_000 * 3_600_000)
    orders = []
    for seed in (1, 2):
        table = packed({"browse": browse}, seed=seed)
        rows = np.frombuffer(b"".join(table["rows"].to_pylist()), packing.row_type(2))
        orders.append(rows["ids"].tolist())
    assert orders[0] != orders[1]


def test_rows_that_know_when_they_were_received_mix_with_rows_that_do_not(logs):
    half = logs["tap"].iloc[::2]
    with_time = half.assign(received=half.timestamp + 5)
    table = pa.concat_tables([packed({"tap": logs["tap"].iloc[1::2]}), packed({"tap": with_time})])
    rows = unpack(table, 5)[0].rows["tap"]
    assert len(rows.key) == len(logs["tap"])
    assert sorted(rows.delay) == [0] * (len(rows.key) - len(half)) + [5] * len(half)


def test_an_unusable_row_is_an_account_and_no_record():
    rows = [{"user_id": "u", "timestamp": 5, "type": t} for t in ("browse", "steal")]
    batch = pa.Table.from_pylist(rows)
    piece = encode("browse", batch, DICTIONARIES, Limits())
    entries = list(packing.accounts(piece, batch))
    table = pa.Table.from_batches([
        *packing.account_runs(entries, Places(3, np.arange(1))),
        *runs([piece], Places(3, np.arange(1))),
    ])  # fmt: skip
    records, found = unpack(table, 3)
    assert found == entries and found[0]["reason"] == "unknown_action"
    assert len(records.rows["browse"].key) == 1
    assert set(records.rows) == set(tables.TABLES)


def test_nothing_gives_nothing():
    records, texts = unpack(RUN.empty_table(), 4)
    assert len(records.users) == 0 and not texts
    piece = encode("tap", pa.table({"user_id": pa.array([], pa.string())}), DICTIONARIES)
    assert not list(runs([piece], Places(4, np.arange(1))))


def test_more_users_than_keys_have_room_for_are_refused(logs, monkeypatch):
    monkeypatch.setattr(packing, "MOST_USERS", 8)
    with pytest.raises(IntentError, match="9 users at once are more than the 8"):
        packed({"tap": logs["tap"]})
    monkeypatch.undo()
    assert packing.MOST_USERS - 1 << TIME_BITS < 2**63 <= packing.MOST_USERS << TIME_BITS
