"""Raw logs on disk: which tables a folder holds, in which format, and their rows without Spark.

Spark reads the same files for the sample job (`cluster.spark_logs`); what is here serves the
device, the tests and whoever has logs that fit into memory.
"""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from intent.errors import IntentError
from intent.features.encode import BROKEN_ROW
from intent.features.tables import TABLES, RawTable

FORMATS = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
}
HEAD_LINES = 100  # of the first JSON file, from which its columns are read


def find_tables(logs: str | Path) -> dict[str, list[Path]]:
    """The files of every raw table in folder `logs`: LOGS/browse/... or LOGS/browse.csv.gz.

    Raises IntentError if there is no such folder, no table in it, or no browse table (it holds the
    purchases, which the labels are made of).
    """
    logs = Path(logs)
    if not logs.is_dir():
        raise IntentError(f"there is no logs folder {logs}; make one with: intent simulate")
    found = {}
    for name in TABLES:
        files = [p for p in logs.glob(f"{name}.*") if p.is_file() and file_format(p)]
        folder = logs / name
        if folder.is_dir():
            hidden = ("_", ".")
            files += [
                p
                for p in folder.rglob("*")
                if p.is_file() and not p.name.startswith(hidden) and file_format(p)
            ]
        if files:
            found[name] = sorted(files)
    wanted = ", ".join(f"{n}/" for n in TABLES)
    if not found:
        raise IntentError(
            f"{logs} has none of the tables {wanted} (Parquet, JSON Lines or CSV files); "
            "a foreign log is converted with: intent import"
        )
    if "browse" not in found:
        raise IntentError(
            f"{logs} has no browse table, which holds the purchases that labels are made of; "
            f"found only: {', '.join(found)}"
        )
    return found


def file_format(path: Path) -> str | None:
    suffixes = [s for s in path.suffixes if s != ".gz"]
    return FORMATS.get(suffixes[-1].lower()) if suffixes else None


def header(table: RawTable, files: list[Path]) -> tuple[str, list[str]]:
    """Format of a table's files and the columns that they have.

    Raises IntentError if a required column is missing or formats are mixed.
    """
    formats = {file_format(p) for p in files}
    if len(formats) > 1:
        mixed = " and ".join(sorted(map(str, formats)))
        raise IntentError(f"table {table.name} mixes {mixed} files; use one kind")
    kind = str(formats.pop())
    names = {"parquet": _parquet_columns, "csv": _csv_header, "json": _json_keys}[kind](files[0])
    missing = [c for c in table.required if c not in names]
    if missing:
        raise IntentError(
            f"table {table.name} ({files[0]}) lacks the required column {', '.join(missing)}; "
            f"it has: {', '.join(names) or 'none'}"
        )
    return kind, names


def read_table(table: RawTable, files: list[Path]) -> pa.Table:
    """All rows of a raw table; broken lines of text formats are kept in the column BROKEN_ROW."""
    kind, names = header(table, files)
    wanted = [c for c in table.columns if c in names]
    if kind == "parquet":
        parts = [pq.read_table(p, columns=wanted, partitioning=None) for p in files]
    else:
        read = _read_csv if kind == "csv" else _read_json
        schema = pa.schema([(c, pa.string()) for c in (*wanted, BROKEN_ROW)])
        parts = [pa.Table.from_pylist(read(p, wanted), schema) for p in files]
    return pa.concat_tables(parts, promote_options="permissive")


def _read_csv(path: Path, wanted: list[str]) -> list[dict]:
    with _open(path) as file:
        rows = csv.reader(file)
        names = [name.strip() for name in next(rows, [])]
        return [
            {n: v for n, v in zip(names, row, strict=True) if n in wanted}
            if len(row) == len(names)
            else {BROKEN_ROW: ",".join(row)}
            for row in rows
        ]


def _read_json(path: Path, wanted: list[str]) -> list[dict]:
    rows = []
    with _open(path) as file:
        for line in filter(str.strip, file):
            try:
                row = json.loads(line)
                rows.append(
                    {n: None if row[n] is None else str(row[n]) for n in wanted if n in row}
                )
            except (ValueError, TypeError):
                rows.append({BROKEN_ROW: line})
    return rows


def _parquet_columns(path: Path) -> list[str]:
    try:
        return pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        line = str(error).splitlines()[0]
        raise IntentError(f"{path} cannot be read as Parquet ({line}); write it again") from None


def _open(path: Path):
    if path.suffix == ".gz":
        return gzip.open(path, "rt", errors="replace")
    return open(path, errors="replace")


def _csv_header(path: Path) -> list[str]:
    with _open(path) as file:
        return [name.strip() for name in next(csv.reader(file), [])]


def _json_keys(path: Path) -> list[str]:
    keys: dict[str, None] = {}
    with _open(path) as file:
        for _, line in zip(range(HEAD_LINES), file, strict=False):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                keys.update(dict.fromkeys(row))
    return list(keys)
