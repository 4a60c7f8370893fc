"""OTTO's log as browse rows: every event in comes out, understood or not."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from intent.errors import IntentError
from intent.features.encode import BROKEN_ROW
from intent.sources import convert, otto

REAL = Path(__file__).parents[4] / "shared/data/otto"


def session(number: object, *events: tuple) -> str:
    keys = ("aid", "ts", "type")
    return json.dumps(
        {"session": number, "events": [dict(zip(keys, e, strict=True)) for e in events]}
    )


GOOD = (
    session(7, (11, 1659304800025, "clicks"), (12, 1659304800026, "carts")),
    session(8),
    session(9, (11, 1659304900000, "orders"), (13, 1659304900000, "orders")),
)


def run(tmp_path: Path, lines) -> tuple[dict, list[dict]]:
    src = tmp_path / "log.jsonl"
    src.write_bytes(b"\n".join(x if isinstance(x, bytes) else x.encode() for x in lines))
    summary = convert("otto", src, tmp_path / "logs")
    return summary, pq.read_table(tmp_path / "logs/browse/part-0.parquet").to_pylist()


def test_events_one_to_one(tmp_path):
    summary, rows = run(tmp_path, GOOD)
    found = [(r["user_id"], r["item_id"], r["timestamp"], r["type"]) for r in rows]
    assert found == [
        ("7", "11", 1659304800025, "browse"),
        ("7", "12", 1659304800026, "cart"),
        ("9", "11", 1659304900000, "purchase"),  # two orders at one millisecond stay two
        ("9", "13", 1659304900000, "purchase"),
    ]
    assert summary["rows"] == 4 and summary["users"] == 2
    assert all(r["leaf_category"] is None for r in rows)


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_broken_lines_and_events_are_kept(tmp_path, monkeypatch, block):
    monkeypatch.setattr(otto, "BLOCK_LINES", block)
    lines = [
        GOOD[0],
        GOOD[0][:-20],  # cut in the middle
        "[1, 2]",
        session(10, ("x", 1659304800025, "clicks"), (1, 1659304800025, "clicks")),
        session(11, (1, None, "clicks"), (2, 1659304800025, "likes")),
        session(None, (1, 1659304800025, "clicks")),
        json.dumps({"session": 12, "events": [{"aid": 5, "type": "clicks"}]}),
        b"\xff\xfe",
        GOOD[2],
    ]
    summary, rows = run(tmp_path, lines)
    # broken: cut, list, aid "x", no ts (twice), no session, bytes that are no text
    assert summary["broken"] == 7
    assert summary["rows"] == len(rows) == 2 + 1 + 1 + 2 + 2 + 1 + 1 + 1 + 2
    understood = [r for r in rows if r[BROKEN_ROW] is None]
    assert [r["type"] for r in understood] == [
        "browse", "cart", "browse", "likes", "purchase", "purchase",
    ]  # fmt: skip
    assert GOOD[0][:-20] in {r[BROKEN_ROW] for r in rows}


def test_fast_and_careful_ways_agree():
    block = [line.encode() + b"\n" for line in GOOD]
    fast = otto._flat(otto._parse(block))
    (careful,) = otto._one_by_one(block)
    assert fast.to_pylist() == careful.to_pylist()
    assert otto._parse([*block, b"broken\n"]) is None


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(IntentError, match="no line is a session.*found: 1,2,3,pv"):
        run(tmp_path, ["1,2,3,pv,4"])
    with pytest.raises(IntentError, match="has no rows"):
        run(tmp_path, [])
    assert not (tmp_path / "logs").exists()


def test_the_real_log(tmp_path):
    if not REAL.is_dir():
        pytest.skip(f"no public logs at {REAL}")
    summary = convert("otto", REAL, tmp_path / "logs")
    rows = pq.read_table(tmp_path / "logs/browse/part-0.parquet").to_pylist()
    types = {"clicks": "browse", "carts": "cart", "orders": "purchase"}
    expected = [
        (str(line["session"]), str(e["aid"]), e["ts"], types[e["type"]])
        for line in map(json.loads, (REAL / "train.jsonl").read_text().splitlines())
        for e in line["events"]
    ]
    assert [(r["user_id"], r["item_id"], r["timestamp"], r["type"]) for r in rows] == expected
    assert len(rows) == summary["rows"] == 862 and summary["broken"] == 0
    assert summary["users"] == 20
    assert len({r["user_id"] for r in rows if r["type"] == "purchase"}) == 3
