"""Which files are a table, and which columns they have."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from intent.errors import IntentError
from intent.features.logs import find_tables, header, read_table
from intent.features.tables import BROWSE, TOUCH

ROW = {"user_id": "u", "timestamp": 1_700_000_000_000, "type": "browse"}


def parquet(path, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([ROW | more]).to_parquet(path)
    return path


def test_folders_files_and_folders_with_a_suffix_are_tables_but_hidden_ones_are_not(tmp_path):
    kept = [
        parquet(tmp_path / "browse" / "day=1" / "a.parquet"),
        parquet(tmp_path / "browse.parquet" / "part-0.parquet"),
    ]
    parquet(tmp_path / "browse" / "_temporary" / "0" / "b.parquet")
    parquet(tmp_path / "browse" / ".hidden.parquet")
    assert find_tables(tmp_path)["browse"] == sorted(kept)


def test_columns_of_all_parquet_files_are_read(tmp_path):
    files = [parquet(tmp_path / "a.parquet"), parquet(tmp_path / "b.parquet", leaf_category="hats")]
    table = read_table(BROWSE, files)
    assert table["leaf_category"].to_pylist() == [None, "hats"]


def test_json_may_leave_out_what_is_null(tmp_path):
    path = tmp_path / "browse.jsonl"
    rows = [ROW] * 150 + [ROW | {"leaf_category": "hats"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_table(BROWSE, [path])["leaf_category"].to_pylist()[-1] == "hats"
    touch = {"user_id": "u", "timestamp": 1, "action": "open_page", "page": "p"}
    path.write_text(json.dumps(touch))
    assert "start_x" in header(TOUCH, [path])[1]
    path.write_text(json.dumps({"user_id": "u"}))
    with pytest.raises(IntentError, match="lacks the required column timestamp, action"):
        header(TOUCH, [path])


def test_csv_files_with_different_headers_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("user_id,timestamp,type\nu,1,browse\n")
    (tmp_path / "b.csv").write_text("timestamp,user_id,type\n1,u,browse\n")
    with pytest.raises(IntentError, match="b.csv and .*a.csv have different headers"):
        header(BROWSE, [tmp_path / "a.csv", tmp_path / "b.csv"])
