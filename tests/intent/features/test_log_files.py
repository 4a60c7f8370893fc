"""Which files are a table, how they are divided, and which columns they have."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import random
from pathlib import Path

import pandas as pd
import pytest

from intent.errors import IntentError
from intent.features.log_files import LogFile, find_tables, header, splits
from intent.features.log_readers import read_split, read_table
from intent.features.tables import BROWSE, TABLES, TOUCH
from tests.support.s3 import s3, s3_server  # noqa: F401  fixtures

ROW = {"user_id": "u", "timestamp": 1_700_000_000_000, "type": "browse"}


def parquet(path, **more) -> LogFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([ROW | more]).to_parquet(path)
    return LogFile(str(path), path.stat().st_size)


def lines(path, *rows: dict) -> LogFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows or [ROW]))
    return LogFile(str(path), path.stat().st_size)


def by_path(files) -> list[LogFile]:
    return sorted(files, key=lambda file: file.path)


def test_folders_files_and_folders_with_a_suffix_are_tables_but_hidden_ones_are_not(tmp_path):
    kept = [
        parquet(tmp_path / "browse" / "day=1" / "a.parquet"),
        parquet(tmp_path / "browse.parquet" / "part-0.parquet"),
    ]
    parquet(tmp_path / "browse" / "_temporary" / "0" / "b.parquet")
    parquet(tmp_path / "browse" / ".hidden.parquet")
    parquet(tmp_path / "browser" / "c.parquet")
    assert find_tables(tmp_path) == {"browse": by_path(kept)}


def test_links_to_folders_and_files_are_followed(tmp_path):
    real = parquet(tmp_path / "data" / "x" / "a.parquet")
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "browse").symlink_to(tmp_path / "data")
    (logs / "tap.parquet").symlink_to(tmp_path / "data" / "x" / "a.parquet")
    assert find_tables(logs) == {
        "tap": [LogFile(str(logs / "tap.parquet"), real.size)],
        "browse": [LogFile(str(logs / "browse" / "x" / "a.parquet"), real.size)],
    }


def test_a_glob_and_a_list_are_the_union_of_their_folders(tmp_path, monkeypatch):
    days = {
        name: parquet(tmp_path / name / "browse.parquet")
        for name in ("2026-01-01", "2026-01-02", "2026-02-01", "a[1]")
    }
    tap = lines(tmp_path / "2026-01-02" / "tap" / "x.jsonl")
    (tmp_path / "2026-01-03").write_text("a file is no folder of tables")
    january = {"browse": [days["2026-01-01"], days["2026-01-02"]], "tap": [tap]}
    assert find_tables(tmp_path / "2026-01-*") == january
    assert find_tables(f"file://{tmp_path}/2026-01-*") == january
    both = [tmp_path / "2026-02-01", str(tmp_path / "2026-01-*"), tmp_path / "2026-01-02"]
    assert find_tables(both)["browse"] == [*january["browse"], days["2026-02-01"]]
    assert find_tables(tmp_path / "a[1]") == {"browse": [days["a[1]"]]}
    monkeypatch.chdir(tmp_path)  # an executor runs in another folder
    assert find_tables("2026-01-*") == january


def test_what_is_not_there_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    lines(tmp_path / "taps" / "tap.json")
    lines(tmp_path / "good" / "browse.json")
    with pytest.raises(IntentError, match="there is no logs folder .*nowhere; make one with"):
        find_tables(tmp_path / "nowhere")
    with pytest.raises(IntentError, match=r"no folder matches .*2026-\*"):
        find_tables([tmp_path / "good", tmp_path / "2026-*"])
    with pytest.raises(IntentError, match="empty has none of the tables touch/"):
        find_tables([tmp_path / "good", tmp_path / "empty"])
    with pytest.raises(IntentError, match="has no browse table.*found only: tap"):
        find_tables(tmp_path / "taps")


@pytest.mark.skipif(bool(importlib.util.find_spec("gcsfs")), reason="gcsfs is installed here")
def test_without_its_package_an_object_store_is_explained():
    with pytest.raises(IntentError, match="gcsfs"):
        find_tables("gs://a-bucket/logs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    file = lines(tmp_path / "browse.json")
    Path(file.path).chmod(0)
    with pytest.raises(IntentError, match="browse.json may not be read; give this user"):
        read_table(BROWSE, [file])


def test_splits_cover_every_byte_once_and_depend_on_paths_and_sizes_alone():
    rng = random.Random(3)
    names = ["parquet", "jsonl", "csv", "json.gz", "csv.gz"]
    files = [
        LogFile(f"/logs/{i}.{names[i % 5]}", rng.choice([0, 1, 5, 900, 7 << 20, 300 << 20]))
        for i in range(200)
    ]
    target = 64 << 20
    found = splits("browse", files, target)
    assert found == splits("browse", rng.sample(files, 200), target)
    assert pickle.loads(pickle.dumps(found)) == found
    ranges: dict[str, list] = {}
    for split in found:
        assert split.parts and split.table == "browse"
        if len(split.parts) > 1:
            assert sum(p.end - p.start for p in split.parts) <= target
        for part in split.parts:
            ranges.setdefault(part.path, []).append((part.start, part.end))
    for file in files:
        whole = file.path.endswith((".csv", ".gz"))
        cuts = ranges[file.path]
        assert cuts[0][0] == 0 and cuts[-1][1] == file.size
        assert all(a[1] == b[0] for a, b in zip(cuts, cuts[1:], strict=False))
        assert len(cuts) == 1 if whole else max(b - a for a, b in cuts) <= target
    small = [LogFile(f"/{i}.csv", 10) for i in range(10_000)]
    assert 100 < len(splits("tap", small, target)) < 200  # opening them is work too


def test_columns_of_all_parquet_files_are_read(tmp_path):
    files = [parquet(tmp_path / "a.parquet"), parquet(tmp_path / "b.parquet", leaf_category="hats")]
    table = read_table(BROWSE, files)
    assert table["leaf_category"].to_pylist() == [None, "hats"]


def test_partition_columns_of_folders_are_not_read(tmp_path):
    file = parquet(tmp_path / "browse" / "page=home" / "a.parquet")
    assert "page" not in read_table(BROWSE, [file]).column_names


def test_json_may_leave_out_what_is_null(tmp_path):
    file = lines(tmp_path / "browse.jsonl", *[ROW] * 150, ROW | {"leaf_category": "hats"})
    assert read_table(BROWSE, [file])["leaf_category"].to_pylist()[-1] == "hats"
    touch = {"user_id": "u", "timestamp": 1, "action": "open_page", "page": "p"}
    file = lines(tmp_path / "touch.jsonl", touch)
    assert "start_x" in header(TOUCH, [file])[1]
    file = lines(tmp_path / "touch.jsonl", {"user_id": "u"})
    with pytest.raises(IntentError, match="lacks the required column timestamp, action"):
        header(TOUCH, [file])


def test_csv_files_may_order_their_columns_as_they_like_but_need_a_header_each(tmp_path):
    texts = {
        "a": "user_id,timestamp,type\nu,1,browse\n",
        "b": " timestamp ,page,user_id,type\n2,home,v,cart\n",
        "c": "",
        "d": "w,3,browse\nw,4,browse\n",
    }
    files = []
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text)
        files.append(LogFile(str(tmp_path / f"{name}.csv"), len(text)))
    table = read_table(BROWSE, files[:3])
    assert table["user_id"].to_pylist() == ["u", "v"]
    assert table["page"].to_pylist() == [None, "home"]
    with pytest.raises(IntentError, match=r"d.csv\) lacks the required column .*it has: w, 3, bro"):
        header(BROWSE, files)


def test_a_table_has_one_format(tmp_path):
    files = [parquet(tmp_path / "a.parquet"), lines(tmp_path / "b.json")]
    with pytest.raises(IntentError, match="table browse mixes json and parquet files"):
        header(BROWSE, files)


def test_logs_on_an_object_store(s3, tmp_path):  # noqa: F811
    import fsspec

    fs = fsspec.filesystem("s3")
    here = {}
    for day in ("2026-01-01", "2026-01-02", "2026-02-01"):
        folder = tmp_path / day
        parquet(folder / "browse" / "a.parquet", leaf_category=day)
        lines(
            folder / "tap.jsonl",
            *[{"user_id": f"u{i}", "timestamp": i, "event": day} for i in range(50)],
        )
        (folder / "profile.csv").write_text(f"user_id,age_level,gender\n{day},1,2\n")
        (folder / "history.csv.gz").write_bytes(b"")
        here[day] = folder
        for path in folder.rglob("*.*"):
            fs.put(str(path), f"shop/logs/{day}/{path.relative_to(folder)}")
    fs.pipe("shop/logs/2026-01-01/browse/_SUCCESS", b"")
    there = find_tables(f"{s3}/logs/2026-01-*")
    local = find_tables(str(tmp_path / "2026-01-*"))
    assert {n: [f.size for f in files] for n, files in there.items()} == {
        n: [f.size for f in files] for n, files in local.items()
    }
    assert there["browse"][0].path == f"{s3}/logs/2026-01-01/browse/a.parquet"
    for name in ("browse", "tap"):
        assert read_table(TABLES[name], there[name]).equals(read_table(TABLES[name], local[name]))
    cut = splits("tap", there["tap"], 100)
    assert len(cut) > 20
    assert sum(b.num_rows for split in cut for b in read_split(split)) == 100
    both = find_tables([f"{s3}/logs/2026-02-01/", f"{s3}/logs/2026-01-01"])
    assert len(both["browse"]) == 2
    with pytest.raises(IntentError, match="there is no logs folder s3://shop/nothing"):
        find_tables(f"{s3}/nothing")
    fs.rm(f"{s3}/logs/2026-01-01/tap.jsonl")
    with pytest.raises(IntentError, match="tap.jsonl is gone"):
        read_table(TABLES["tap"], there["tap"])
    fs.pipe(f"{s3}/logs/2026-01-02/browse/a.parquet", b"other")
    with pytest.raises(IntentError, match="a.parquet changed while it was being read"):
        list(read_split(splits("browse", there["browse"])[0]))
