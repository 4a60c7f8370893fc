"""Raw logs as Spark DataFrames: Parquet, JSON Lines or CSV, whichever a table's files are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING

from intent.errors import IntentError
from intent.features.encode import BROKEN_ROW
from intent.features.tables import TABLES, RawTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

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
        files = [p for p in logs.glob(f"{name}.*") if p.is_file() and _format(p)]
        folder = logs / name
        if folder.is_dir():
            hidden = ("_", ".")
            files += [
                p
                for p in folder.rglob("*")
                if p.is_file() and not p.name.startswith(hidden) and _format(p)
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


def _format(path: Path) -> str | None:
    suffixes = [s for s in path.suffixes if s != ".gz"]
    return FORMATS.get(suffixes[-1].lower()) if suffixes else None


def read_table(spark: SparkSession, name: str, files: list[Path]) -> DataFrame:
    """A raw table's columns as they stand in its files; broken lines are kept in BROKEN_ROW.

    Raises IntentError if a required column is missing or formats are mixed.
    """
    table, formats = TABLES[name], {_format(p) for p in files}
    if len(formats) > 1:
        raise IntentError(f"table {name} mixes {' and '.join(sorted(formats))} files; use one kind")
    paths, kind = [str(p) for p in files], formats.pop()
    if kind == "parquet":
        data = _read_parquet(spark, paths, table)
        present = data.columns
    else:
        present = _csv_header(files[0]) if kind == "csv" else _json_keys(files[0])
        _require(table, present, files[0])
        schema = ", ".join(f"`{c}` string" for c in [*present, BROKEN_ROW])
        reader = spark.read.schema(schema).option("columnNameOfCorruptRecord", BROKEN_ROW)
        if kind == "csv":
            data = reader.csv(paths, header=True, mode="PERMISSIVE", enforceSchema=False)
        else:
            data = reader.json(paths, mode="PERMISSIVE", primitivesAsString=True)
    kept = [c for c in (*table.columns, BROKEN_ROW) if c in data.columns]
    return data.select(*[f"`{c}`" for c in kept])


def _read_parquet(spark: SparkSession, paths: list[str], table: RawTable) -> DataFrame:
    from pyspark.errors import PySparkException

    try:
        data = spark.read.parquet(*paths)
    except PySparkException as error:
        line = str(error).splitlines()[0]
        raise IntentError(f"table {table.name} cannot be read as Parquet: {line}") from None
    _require(table, data.columns, Path(paths[0]))
    return data


def _require(table: RawTable, present: list[str], file: Path) -> None:
    missing = [c for c in table.required if c not in present]
    if missing:
        raise IntentError(
            f"table {table.name} ({file}) lacks the required column {', '.join(missing)}; "
            f"it has: {', '.join(present)}"
        )


def _open(path: Path):
    if path.suffix == ".gz":
        return gzip.open(path, "rt", errors="replace")
    return open(path, errors="replace")


def _csv_header(path: Path) -> list[str]:
    import csv

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
