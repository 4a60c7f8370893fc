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
HEAD_LINES = 100  # of each JSON file, in which the identifying columns must turn up
# Without these no row of a table can be used; any other may be null in all of the first lines.
IDENTIFYING = {"user_id", "timestamp", "day", "action", "event", "type"}


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
        files = []
        for place in [logs / name, *logs.glob(f"{name}.*")]:  # browse/, browse.csv, browse.parquet/
            below = place.rglob("*") if place.is_dir() else [place]
            files += [p for p in below if p.is_file() and file_format(p) and not _hidden(p, place)]
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


def _hidden(path: Path, place: Path) -> bool:
    """Whether a file, or a folder on the way to it, is not meant to be read (_temporary, ...)."""
    return any(part.startswith(("_", ".")) for part in path.relative_to(place.parent).parts)


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
    if kind == "json":  # a writer of JSON leaves out what is null, so any column may turn up
        present, names = _json_keys(files), list(table.columns)
        required = [c for c in table.required if c in IDENTIFYING]
    else:
        per_file = [_columns(kind, path) for path in files]
        if kind == "csv" and any(columns != per_file[0] for columns in per_file):
            odd = next(f for f, c in zip(files, per_file, strict=True) if c != per_file[0])
            raise IntentError(f"{odd} and {files[0]} have different headers; give them the same")
        present = names = list(dict.fromkeys(c for columns in per_file for c in columns))
        required = list(table.required)
    missing = [c for c in required if c not in present]
    if missing:
        raise IntentError(
            f"table {table.name} ({files[0]}) lacks the required column {', '.join(missing)}; "
            f"it has: {', '.join(present) or 'none'}"
        )
    return kind, names


def _columns(kind: str, path: Path) -> list[str]:
    return _parquet_columns(path) if kind == "parquet" else _csv_header(path)


def read_table(table: RawTable, files: list[Path]) -> pa.Table:
    """All rows of a raw table; broken lines of text formats are kept in the column BROKEN_ROW."""
    kind, names = header(table, files)
    wanted = [c for c in table.columns if c in names]
    if kind == "parquet":
        parts = [pq.read_table(p, partitioning=None) for p in files]
        parts = [p.select([c for c in wanted if c in p.column_names]) for p in parts]
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


def _json_keys(files: list[Path]) -> list[str]:
    """Keys of the first lines of each file."""
    keys: dict[str, None] = {}
    for path in files:
        with _open(path) as file:
            for _, line in zip(range(HEAD_LINES), file, strict=False):
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    keys.update(dict.fromkeys(row))
    return list(keys)
