"""Rows come out of every format as they went in, whole, once, and wherever a file is cut."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import time
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from intent.errors import IntentError
from intent.features import log_csv, log_json, log_parquet
from intent.features.encode import BROKEN_ROW
from intent.features.log_files import LogFile, Part, Split, splits
from intent.features.log_readers import BATCH_ROWS, read_split, read_table
from intent.features.tables import BROWSE, NUMBERS, TIMES, column_of, number, text, time_ms

COLUMNS = BROWSE.columns


def log_file(path, data: bytes) -> LogFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return LogFile(str(path), len(data))


def worth(batch) -> list[tuple]:
    """What encoding sees of each row, whatever the types: the broken text, else the values."""
    columns = [text(column_of(batch, BROKEN_ROW)).to_pylist()]
    for name in COLUMNS:
        column = column_of(batch, name)
        if name in NUMBERS or name in TIMES:
            values, bad = (time_ms if name in TIMES else number)(column)
            columns.append([repr((v, b)) for v, b in zip(values, bad, strict=True)])
        else:
            columns.append(text(column).to_pylist())
    return list(zip(*columns, strict=True))


def rows_of(all_splits) -> list[tuple]:
    found = []
    for split in all_splits:
        for batch in read_split(split):
            assert 0 < batch.num_rows <= BATCH_ROWS
            found += worth(batch)
    return sorted(found, key=repr)


def random_rows(n: int, seed: int = 0) -> list[dict]:
    """Rows of browse with keys left out, nulls, numbers as text, quotes, line breaks, unicode."""
    rng = random.Random(seed)
    words = ["hats", "ü\u2028x", 'say "hi", you', "two\\nlines", "C:\\home", "", "NaN", "}", "{"]
    rows = []
    for i in range(n):
        row = {"user_id": rng.choice([f"u{i}", i, None]), "timestamp": 1_700_000_000_000 + i}
        row["type"] = rng.choice(["browse", "purchase"])
        row["leaf_category"] = rng.choice(words)
        row["price"] = rng.choice([i, i / 7, str(i), None, True, {"EUR": 1.5}])
        row["stay_ms"] = rng.choice([i, float(i)])
        row["extra"] = rng.choice([1, "x", [1, {"a": None}]])
        for name in rng.sample(["leaf_category", "price", "stay_ms", "extra"], rng.randrange(4)):
            del row[name]
        rows.append(row)
    return rows


def json_lines(rows, seed: int = 0) -> bytes:
    """With blank lines, blanks, both kinds of line end, and none at the end."""
    rng = random.Random(seed)
    ends = ["\n"] * 20 + ["\r\n", "\n\n", " \n \t\n"]
    return "".join(json.dumps(row) + rng.choice(ends) for row in rows).strip().encode()


@given(st.integers(1, 3000), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
@example(1, 0)
@example(7, 0)
def test_json_lines_come_out_once_wherever_the_file_is_cut(tmp_path_factory, size, seed):
    rows = random_rows(40, seed)
    file = log_file(tmp_path_factory.mktemp("j") / "browse.jsonl", json_lines(rows, seed))
    many = splits("browse", [file], size)
    assert sum(len(s.parts) for s in many) == -(-file.size // size)
    whole = rows_of(splits("browse", [file]))
    assert len(whole) == 40 and all(row[0] is None for row in whole)
    assert rows_of(many) == whole


def shifted(file: LogFile, by: int) -> list[Split]:
    """Splits whose second range begins `by` bytes off the first one's end."""
    [split] = splits("browse", [file])
    cut = file.size // 4
    parts = [(0, cut), (cut + by, file.size)]
    return [Split("browse", (replace(split.parts[0], start=a, end=b),)) for a, b in parts]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_wrong_rule_of_cutting_would_be_noticed(tmp_path, suffix):
    rows = [{"user_id": f"u{i:04}", "timestamp": i, "type": "browse"} for i in range(40)]
    path = tmp_path / f"browse.{suffix}"
    if suffix == "jsonl":
        file, row = log_file(path, json_lines(rows)), len(json.dumps(rows[0]))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1)
        file = LogFile(str(path), path.stat().st_size)
        row = pq.read_metadata(path).row_group(0).total_byte_size
    whole = rows_of(splits("browse", [file]))
    assert rows_of(shifted(file, 0)) == whole
    assert len(rows_of(shifted(file, 2 * row))) < len(whole)  # some are lost
    assert len(rows_of(shifted(file, -2 * row))) > len(whole)  # some come twice


def test_the_line_that_begins_at_a_cut_belongs_to_the_second_range(tmp_path):
    lines = [json.dumps({"user_id": f"u{i}", "timestamp": i}).encode() for i in range(3)]
    file = log_file(tmp_path / "browse.jsonl", b"\n".join(lines))
    second = len(lines[0]) + 1
    for cut, first_rows in ((second - 1, 1), (second, 1), (second + 1, 2)):
        batches = [
            batch for batch in log_json.read(file.path, 0, cut, file.size, ["user_id"], BATCH_ROWS)
        ]
        assert sum(b.num_rows for b in batches) == first_rows
    assert not list(log_json.read(file.path, second + 1, second + 2, file.size, ["user_id"], 9))


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 16])
def test_blocks_of_lines_are_the_file_again(block):
    data = b"\n\nab\n" + b"c" * 200 + b"\nd\n\n" + b"e" * 90
    for start in range(0, len(data), 11):
        for end in range(start + 1, len(data) + 1, 13):
            begin = 0 if not start else data.find(b"\n", start - 1) + 1 or len(data)
            stop = data.find(b"\n", end - 1) + 1 or len(data)
            got = b"".join(log_json.line_blocks(pa.BufferReader(data), start, end, block))
            assert got == data[begin : max(stop, begin)], (start, end)


BROKEN = [
    b'{"user_id": "u", "times',
    b"nonsense",
    b"[1, 2]",
    b"3",
    b'{"user_id": "a"} {"user_id": "b"}',
    b'{"user_id": "a"}{"user_id": "b"}',
    b'{"user_id": "x",',
    b'{"stay_ms": -NaN}',
    b'{"stay_ms": Inf}',
    b'{"user_id": 01}',
    b'{"user_id": "tab\there"}',
]


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_line_is_isolated(tmp_path, line):
    rows = [{"user_id": "u", "timestamp": 5, "type": "browse"}] * 500
    lines = [json.dumps(row).encode() for row in rows]
    lines[333:333] = [line]
    file = log_file(tmp_path / "browse.jsonl", b"\n".join(lines))
    table = read_table(BROWSE, [file])
    broken = [text for text in table[BROKEN_ROW].to_pylist() if text is not None]
    assert broken == [line.decode()] and table.num_rows == 501
    assert table["user_id"].to_pylist().count("u") == 500


ODD = {  # valid lines that Arrow refuses, and what user_id and price are worth
    '{"user_id": 12, "price": "7"}': ("12", 7.0),
    '{"user_id": 12.50, "price": 1e400}': ("12.50", None),
    '{"user_id": true, "price": NaN}': ("true", None),
    '{"user_id": {"a": [1, 2.5]}, "price": [1]}': ('{"a": [1, 2.5]}', None),
    '{"user_id": 123456789012345678901234567890, "price": -0}': (
        "123456789012345678901234567890",
        0.0,
    ),
    '{"user_id": "a", "user_id": "b", "price": 1, "price": 2.5}': ("b", 2.5),
    '{"user_id": "\\ud800x", "price": null}': ("\ufffd\ufffd\ufffdx", float("nan")),
    '{"user_id": "2026-01-05T00:00:00", "price": 3}': ("2026-01-05T00:00:00", 3.0),
    '{"user_id": "' + "x" * 1_000_000 + '", "price": 1}': ("x" * 1_000_000, 1.0),
    '{"user_id": ' + "9" * 5000 + ', "price": 1}': ("9" * 5000, 1.0),
}


ODDITIES = [b"{}", *(line.encode() for line in ODD if len(line) < 200)]


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5])
@pytest.mark.parametrize("seed", range(2))
def test_a_line_is_worth_the_same_whatever_the_lines_around_it(tmp_path, share, seed):
    rng = random.Random(seed)
    lines = []
    for i in range(4000):
        row = {"user_id": f"u{i}", "timestamp": i, "type": "browse", "price": i / 4}
        line = json.dumps(row).encode()
        lines.append(rng.choice([*BROKEN, *ODDITIES]) if rng.random() < share else line)
    file = log_file(tmp_path / "browse.jsonl", b"\n".join(lines))
    whole = rows_of(splits("browse", [file]))
    assert len(whole) == 4000
    assert rows_of(splits("browse", [file], file.size // 13)) == whole
    parser = log_json._Parser(COLUMNS)
    assert sorted(worth(parser._by_python(lines)), key=repr) == whole


@pytest.mark.parametrize("line", ODD, ids=lambda line: line[:40])
@pytest.mark.parametrize("around", [0, 200])
def test_valid_json_that_arrow_refuses_has_values(tmp_path, line, around):
    usual = json.dumps({"user_id": "u", "timestamp": 5, "type": "browse", "price": 1.5})
    lines = [usual] * around + [line] + [usual] * around
    file = log_file(tmp_path / "browse.jsonl", "\n".join(lines).encode())
    found = [batch for split in splits("browse", [file]) for batch in read_split(split)]
    assert sum(b.num_rows for b in found) == len(lines)
    assert all(BROKEN_ROW not in b.schema.names for b in found)
    users = [user for b in found for user in text(column_of(b, "user_id")).to_pylist()]
    prices = [p for b in found for p in zip(*number(column_of(b, "price")), strict=True)]
    user, price = ODD[line]
    at = [t for b in found for t in column_of(b, "timestamp").to_pylist()].index(None)
    value, bad = prices[at]  # what Arrow refuses may come last
    assert users.pop(at) == user and users == ["u"] * 2 * around
    assert bad if price is None else (not bad and repr(float(value)) == repr(price))


def test_bytes_that_are_no_utf8_are_replaced_in_every_format(tmp_path):
    bad = b"a\xff\xc3"
    lines = [b'{"user_id":"%s","timestamp":1,"type":"browse"}' % bad, b'{"user_id":"\xff']
    log = log_file(tmp_path / "browse.json", b"\n".join(lines))
    table = read_table(BROWSE, [log])
    assert table["user_id"].to_pylist() == ["a\ufffd\ufffd", None]
    assert table[BROKEN_ROW].to_pylist() == [None, '{"user_id":"\ufffd']
    log = log_file(tmp_path / "browse.csv", b"user_id,timestamp,type\n%s,1,browse\n\xff\n" % bad)
    table = read_table(BROWSE, [log])
    assert table["user_id"].to_pylist() == ["a\ufffd\ufffd", None]
    assert table[BROKEN_ROW].to_pylist() == [None, "\ufffd"]
    users = pa.array([bad, b"ok"]).view(pa.string())
    pq.write_table(pa.table([users, [1, 1], ["b", "b"]], list(BROWSE.required)), tmp_path / "p")
    path = (tmp_path / "p").rename(tmp_path / "browse.parquet")
    table = read_table(BROWSE, [LogFile(str(path), path.stat().st_size)])
    assert table["user_id"].to_pylist() == ["a\ufffd\ufffd", "ok"]


def as_csv(rows) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([f" {name} " for name in COLUMNS])
    writer.writerows([[row.get(name) for name in COLUMNS] for row in rows])
    return out.getvalue().encode()


def csv_rows() -> list[dict]:
    rows = [row | {"page": "two\nlines, and\r\nmore"} for row in random_rows(300)]
    return [{k: str(v) for k, v in row.items() if v is not None} for row in rows]


def test_no_broken_row_is_lost_while_arrow_parses_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(log_csv, "BLOCK", 700)
    lines = [f"u{i},1,browse" if i % 2 else f"broken {i}" for i in range(600)]
    file = log_file(tmp_path / "browse.csv", "\n".join(["user_id,timestamp,type", *lines]).encode())
    found = []
    for batch in log_csv.read(file.path, file.size, BROWSE.required, 100):
        if BROKEN_ROW in batch.schema.names:
            time.sleep(0.003)  # the parser gets on meanwhile
        found += batch.to_pylist()
    assert sum(row.get(BROKEN_ROW) is None for row in found) == 300
    texts = [row[BROKEN_ROW] for row in found if row.get(BROKEN_ROW) is not None]
    assert texts == lines[::2]


@pytest.mark.parametrize("block", [700, 1 << 20])
def test_csv_gives_what_pythons_reader_gives(tmp_path, monkeypatch, block):
    monkeypatch.setattr(log_csv, "BLOCK", block)  # so that rows lie across blocks
    data = b"\xef\xbb\xbf" + as_csv(csv_rows()) + b"\nonly,three,values\n\n"
    file = log_file(tmp_path / "browse.csv", data)
    table = read_table(BROWSE, [file])
    expected = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    expected = [row for row in expected[1:] if len(row) == len(COLUMNS)]
    broken = [row for row in table.to_pylist() if row[BROKEN_ROW] is not None]
    found = [row for row in table.to_pylist() if row[BROKEN_ROW] is None]
    assert [[row[name] for name in COLUMNS] for row in found] == expected and len(found) == 300
    assert [row[BROKEN_ROW] for row in broken] == ["only,three,values"]
    packed = log_file(
        tmp_path / "browse.csv.gz", gzip.compress(data[:99]) + gzip.compress(data[99:])
    )
    again = read_table(BROWSE, [packed]).to_pylist()
    # a broken row comes at any place: Arrow parses ahead
    assert [row for row in again if row[BROKEN_ROW] is None] == found
    assert [row for row in again if row[BROKEN_ROW] is not None] == broken


@pytest.mark.parametrize("data", [b"", b"\n", ",".join(BROWSE.required).encode() + b"\n"])
def test_files_without_rows(tmp_path, data):
    files = [log_file(tmp_path / "browse.csv", data)]
    table = read_table(BROWSE, files)
    assert table.num_rows == 0
    if not data.strip():
        for name in ("browse.json", "browse.jsonl.gz"):
            whole = gzip.compress(data) if name.endswith("gz") else data
            assert read_table(BROWSE, [log_file(tmp_path / name, whole)]).num_rows == 0


def test_a_quote_that_is_never_closed_ends_with_advice(tmp_path, monkeypatch):
    monkeypatch.setattr(log_csv, "BLOCK", 1000)
    data = b"user_id,timestamp,type\nu,1,browse\n" + b'"u,1,browse\n' + b"u,1,browse\n" * 500
    file = log_file(tmp_path / "browse.csv", data)
    with pytest.raises(IntentError, match=r"browse.csv has a row of more than .*never closed"):
        read_table(BROWSE, [file])


def parquet_file(path, rows: int, group: int) -> LogFile:
    table = pa.table(
        {
            "user_id": [f"u{i}" for i in range(rows)],
            "timestamp": list(range(rows)),
            "type": ["browse"] * rows,
            "unread": ["x" * (i % 97) for i in range(rows)],
        }
    )
    pq.write_table(table, path, row_group_size=group, write_page_checksum=True)
    return LogFile(str(path), path.stat().st_size)


@given(st.integers(1, 9000), st.integers(1, 60))
@settings(max_examples=20, deadline=None)
@example(1, 7)
def test_parquet_rows_come_out_once_wherever_the_file_is_cut(tmp_path_factory, size, group):
    file = parquet_file(tmp_path_factory.mktemp("p") / "browse.parquet", 300, group)
    size = max(size, file.size // 20)
    many = splits("browse", [file], size)
    assert rows_of(many) == rows_of(splits("browse", [file]))
    assert len(rows_of(many)) == 300


def test_parquet_is_read_in_batches_and_only_where_asked(tmp_path):
    file = parquet_file(tmp_path / "browse.parquet", 300, 300)
    [split] = splits("browse", [file])
    assert [b.schema.names for b in read_split(split)] == [["user_id", "timestamp", "type"]]
    part = split.parts[0]
    batches = list(log_parquet.read(part.path, 0, part.end, part.size, ["type"], 128))
    assert [b.num_rows for b in batches] == [128, 128, 44]
    assert next(read_split(split, ["timestamp"])).schema.names == ["timestamp"]


def test_a_folder_of_mixed_types_is_one_table(tmp_path):
    times = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))
    pq.write_table(pa.table([["u"], times, ["browse"]], list(BROWSE.required)), tmp_path / "a")
    pq.write_table(
        pa.table([[7], [1_700_000_000_124], ["cart"]], list(BROWSE.required)), tmp_path / "b"
    )
    files = []
    for name in "ab":
        path = (tmp_path / name).rename(tmp_path / f"{name}.parquet")
        files.append(LogFile(str(path), path.stat().st_size))
    table = read_table(BROWSE, files)
    assert table["user_id"].to_pylist() == ["u", "7"]
    assert time_ms(column_of(table, "timestamp"))[0].tolist() == [
        1_700_000_000_123,
        1_700_000_000_124,
    ]


def damaged(tmp_path, name: str) -> LogFile:
    """A file that something is wrong with, and which its header does not tell."""
    rows = [{"user_id": f"u{i}", "timestamp": i, "type": "browse"} for i in range(5000)]
    if "parquet" in name:
        file = parquet_file(tmp_path / "browse.parquet", 5000, 5000)
        data = bytearray((tmp_path / "browse.parquet").read_bytes())
        data[200] ^= 255  # the footer is intact, a page is not
        return log_file(tmp_path / "browse.parquet", bytes(data))
    data = json_lines(rows) if "json" in name else as_csv(rows)
    packed = gzip.compress(data)
    if name.startswith("cut"):
        packed = packed[: len(packed) // 2]
    elif name.startswith("plain"):
        packed = data
    file = log_file(tmp_path / ("browse.json.gz" if "json" in name else "browse.csv.gz"), packed)
    if name.startswith("grown"):
        return replace(file, size=file.size - 1)
    if name.startswith("gone"):
        (tmp_path / "browse.json.gz").unlink()
    return file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page of parquet", r"browse.parquet cannot be read as Parquet \(.*\); it is damaged"),
        ("cut json", r"browse.json.gz cannot be unpacked \(.*\); it is cut short"),
        ("cut csv", r"browse.csv.gz cannot be unpacked \(.*\); it is cut short"),
        ("plain json", r"browse.json.gz cannot be unpacked \(.*leave .gz off its name"),
        ("plain csv", r"browse.csv.gz cannot be unpacked \(.*leave .gz off its name"),
        ("grown json", r"browse.json.gz changed while it was being read \(.* bytes"),
        ("gone json", r"browse.json.gz is gone; leave the logs alone"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, message):
    file = damaged(tmp_path, name)
    with pytest.raises(IntentError, match=message):
        for split in splits("browse", [file]):
            for _ in read_split(split):
                pass


def test_files_that_are_no_parquet_or_not_ours_to_read(tmp_path):
    file = log_file(tmp_path / "browse.parquet", b"PAR1 and no more")
    for read in (lambda: read_table(BROWSE, [file]), lambda: rows_of(splits("browse", [file]))):
        with pytest.raises(IntentError, match=r"browse.parquet cannot be read as Parquet"):
            read()
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    part = Part(str(folder), "csv", 0, 0, 0)
    with pytest.raises(IntentError, match=r"folder.csv cannot be read as CSV"):
        rows_of([Split("browse", (part,))])
