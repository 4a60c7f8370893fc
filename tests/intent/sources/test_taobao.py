"""Alibaba's UserBehavior log as browse rows: every row in comes out, understood or not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from intent.errors import IntentError, UsageError
from intent.features import encode, tables
from intent.sources import SOURCES, convert

REAL = Path(__file__).parents[4] / "shared/data/taobao_userbehavior"
LINES = (
    "1,2268318,2520377,pv,1511544070",
    "1,2333346,2520771,fav,1511561733",
    "2,2576651,149192,cart,1511572885",
    "2,2576651,149192,buy,1511572885",
)


def run(tmp_path: Path, text: str | bytes, name: str = "log.csv") -> tuple[dict, list[dict]]:
    """The summary and the rows that `text` becomes."""
    src = tmp_path / name
    src.write_bytes(text if isinstance(text, bytes) else text.encode())
    summary = convert("taobao", src, tmp_path / "logs")
    return summary, pq.read_table(tmp_path / "logs/browse/part-0.parquet").to_pylist()


def test_rows_one_to_one(tmp_path):
    summary, rows = run(tmp_path, "\n".join(LINES) + "\n")
    assert [r["type"] for r in rows] == ["browse", "collect", "cart", "purchase"]
    assert rows[0] == {
        "user_id": "1",
        "timestamp": 1511544070000,
        "type": "browse",
        "leaf_category": "2520377",
        "item_id": "2268318",
        "top_category": None,
        "page": None,
        "stay_ms": None,
        "price": None,
        encode.BROKEN_ROW: None,
    }
    assert summary["rows"] == 4 and summary["users"] == 2 and summary["broken"] == 0
    assert (summary["first"], summary["last"]) == (1511544070000, 1511572885000)
    assert set(tables.BROWSE.columns) - {tables.RECEIVED} <= set(rows[0])


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_line_ends_and_header(tmp_path, end):
    header = "user_id,item_id,category_id,behavior,timestamp"
    _, rows = run(tmp_path, (end or "\n").join((header, *LINES)) + end)
    assert [r["user_id"] for r in rows] == ["1", "1", "2", "2"]


def test_gzip(tmp_path):
    _, rows = run(tmp_path, gzip.compress("\n".join(LINES).encode()), "log.csv.gz")
    assert len(rows) == 4


def test_broken_rows_are_kept_and_quarantined_not_lost(tmp_path):
    broken = (
        "3,1,2,pv",  # short
        "3,1,2,pv,1511544070,more",  # long
        "3,1,2,pv,yesterday",
        "3,1,2,pv,",
        "3,1,2,pv,-5",
        "3,1,\xff2,pv,99999999999999999999",
    )
    unknown = "4,5,6,stare,1511544070"
    lines = [LINES[0], *broken, unknown, LINES[1]]
    summary, rows = run(tmp_path, "\n".join(lines).encode("latin-1"))
    assert summary["rows"] == len(rows) == len(lines)
    assert summary["broken"] == len(broken)
    kept = {r[encode.BROKEN_ROW] for r in rows} - {None}
    assert kept == {line.replace("\xff", "�") for line in broken}
    assert "stare" in {r["type"] for r in rows}

    table = pq.read_table(tmp_path / "logs/browse/part-0.parquet").combine_chunks()
    from intent.features.vocabulary import Dictionaries
    from intent.schema import PAPER

    reasons = encode.encode("browse", table, Dictionaries.from_counts({}, PAPER)).reasons
    assert reasons.count("unparsable_row") == len(broken)
    assert reasons.count("unknown_action") == 1
    assert reasons.count(None) == 2


def test_short_row_with_bytes_that_are_no_text(tmp_path):
    summary, rows = run(tmp_path, "\n".join(LINES).encode() + b"\n1,\xff\xfe,3\n")
    assert summary["rows"] == len(rows) == 5 and summary["broken"] == 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "has no rows"),
        ("1,2,pv,1511544070\n", "the first line has 4 fields"),
        ("user,item,when\n1,2,3\n", "has the columns user, item, when; expected user_id"),
        ('{"session": 1}\n', "expected user_id, item_id"),
    ],
)
def test_another_kind_of_file_is_refused_in_one_line(tmp_path, text, match):
    with pytest.raises(IntentError, match=match) as caught:
        run(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "logs").exists()


def test_a_file_cut_short_leaves_nothing(tmp_path):
    data = gzip.compress("\n".join(LINES * 50_000).encode(), 1)
    with pytest.raises(IntentError, match="cannot be read to its end"):
        run(tmp_path, data[: len(data) // 2], "log.csv.gz")
    assert not (tmp_path / "logs").exists()


def test_what_stands_in_the_folder_is_safe(tmp_path):
    _, rows = run(tmp_path, "\n".join(LINES))
    with pytest.raises(IntentError):  # a later import that fails keeps the earlier one
        run(tmp_path, "not,a,log\n")
    assert pq.read_table(tmp_path / "logs/browse/part-0.parquet").to_pylist() == rows
    assert len(run(tmp_path, LINES[0])[1]) == 1  # one that succeeds replaces it

    (tmp_path / "logs/import.json").unlink()
    with pytest.raises(IntentError, match="is not empty"):
        run(tmp_path, LINES[0])


def test_where_the_log_is(tmp_path):
    with pytest.raises(IntentError, match="there is no file or folder"):
        convert("taobao", tmp_path / "nowhere", tmp_path / "logs")
    with pytest.raises(IntentError, match="has 0 files"):
        convert("taobao", tmp_path, tmp_path / "logs")
    with pytest.raises(UsageError, match=f"there are: {', '.join(SOURCES)}"):
        convert("ebay", tmp_path, tmp_path / "logs")


def test_the_real_log(tmp_path):
    if not REAL.is_dir():
        pytest.skip(f"no public logs at {REAL}")
    summary = convert("taobao", REAL, tmp_path / "logs")
    lines = (REAL / "UserBehavior.csv").read_text().split()
    rows = pq.read_table(tmp_path / "logs/browse/part-0.parquet").to_pylist()
    assert len(rows) == len(lines) == 4321
    words = {"browse": "pv", "collect": "fav", "cart": "cart", "purchase": "buy"}
    for row, line in zip(rows, lines, strict=True):
        fields = [row["user_id"], row["item_id"], row["leaf_category"], words[row["type"]]]
        assert ",".join([*fields, str(row["timestamp"] // 1000)]) == line
    assert summary["users"] == 43 and summary["broken"] == 0
    assert summary["types"]["purchase"] == 77
    assert len({r["user_id"] for r in rows if r["type"] == "purchase"}) == 23
    assert len({r["leaf_category"] for r in rows}) == 567
