"""Raw logs on disk or on an object store: which files are which table, and how they are divided.

What the files hold is read by `intent.features.log_readers`.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from intent import storage
from intent.errors import IntentError
from intent.features import log_csv, log_json, log_parquet
from intent.features.log_io import is_packed
from intent.features.tables import TABLES, RawTable

FORMATS = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
}
# Without these no row of a table can be used; any other may be null in all of the first lines.
IDENTIFYING = {"user_id", "timestamp", "day", "action", "event", "type"}
OPENING = 1 << 20  # bytes that could be read while a file is opened: many tiny files are work too
HEADERS_AT_ONCE = 16


@dataclass(frozen=True)
class LogFile:
    """A file of a raw table.

    Attributes:
        path: absolute local path, or a URL such as s3://bucket/key.
        size: in bytes.
    """

    path: str
    size: int


@dataclass(frozen=True)
class Part:
    """A range of a file's bytes: [start, end) of `size`; `kind` is parquet, json or csv."""

    path: str
    kind: str
    start: int
    end: int
    size: int


@dataclass(frozen=True)
class Split:
    """What one task reads of a table."""

    table: str
    parts: tuple[Part, ...]


Logs = str | Path | Sequence[str | Path]


def find_tables(logs: Logs) -> dict[str, list[LogFile]]:
    """The files of every raw table, sorted by path, each once.

    Args:
        logs: a folder with LOGS/browse/... or LOGS/browse.csv.gz and so on; or a glob of such
            folders (logs/2026-01-*); or a list of both. Local, or URLs of any scheme that fsspec
            knows (s3://bucket/logs).

    Raises IntentError if there is no such folder, no table in one that is named, or no browse table
    in any (it holds the purchases, which the labels are made of).
    """
    places = [logs] if isinstance(logs, str | Path) else list(logs)
    found: dict[str, dict[str, LogFile]] = {name: {} for name in TABLES}
    for place in places:
        here = [item for folder in _folders(place) for item in _table_files(folder)]
        for name, file in here:
            found[name][file.path] = file
        if not here:
            wanted = ", ".join(f"{n}/" for n in TABLES)
            raise IntentError(
                f"{place} has none of the tables {wanted} (Parquet, JSON Lines or CSV files); "
                "a foreign log is converted with: intent import"
            )
    tables = {n: [f[path] for path in sorted(f)] for n, f in found.items() if f}
    if "browse" not in tables:
        raise IntentError(
            f"{', '.join(map(str, places))} has no browse table, which holds the purchases that "
            f"labels are made of; found only: {', '.join(tables) or 'nothing'}"
        )
    return tables


def _folders(place: str | Path) -> list[str]:
    """The folders that a path, a URL or a glob means, as absolute paths or URLs."""
    text, local = str(place), storage.local(place)
    pattern = glob.has_magic(text)
    if local is not None:
        if local.is_dir():
            return [str(local.absolute())]
        found = [str(Path(p).absolute()) for p in glob.glob(str(local)) if os.path.isdir(p)]
    else:
        fs, name = storage.filesystem(text)
        with storage.explained(text):
            if fs.isdir(name):
                return [text.rstrip("/")]
            names = fs.glob(name) if pattern else []
            found = [fs.unstrip_protocol(n).rstrip("/") for n in names if fs.isdir(n)]
    found = [f for f in found if not _hidden(PurePosixPath(f).name)]
    if not found:
        what = f"no folder matches {text}" if pattern else f"there is no logs folder {text}"
        raise IntentError(f"{what}; make one with: intent simulate")
    return sorted(found)


def _table_files(folder: str) -> Iterator[tuple[str, LogFile]]:
    """The tables' files in a folder: browse/..., browse.csv, browse.parquet/..., with the name."""
    list_files = _local_files if storage.local(folder) else _remote_files
    for name, path, size in list_files(folder):
        first = name.split("/")[0]
        table = first.split(".")[0]
        if table in TABLES and file_format(name) and not any(map(_hidden, name.split("/"))):
            yield table, LogFile(path, size)


def _local_files(folder: str) -> Iterator[tuple[str, str, int]]:
    """Files below the entries of a folder that may be tables: name from there, path, bytes."""
    for entry in sorted(os.listdir(folder)):
        if entry.split(".")[0] not in TABLES:
            continue
        top = Path(folder, entry)
        below = (Path(d, f) for d, _, files in os.walk(top) for f in files)
        for path in below if top.is_dir() else [top]:
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                yield name, str(path), path.stat().st_size


def _remote_files(folder: str) -> Iterator[tuple[str, str, int]]:
    fs, base = storage.filesystem(folder)
    base = base.rstrip("/")
    with storage.explained(folder):
        for entry in sorted(fs.ls(base, detail=False)):
            if PurePosixPath(entry).name.split(".")[0] in TABLES:
                for path, info in fs.find(entry, detail=True).items():
                    name = path.removeprefix(base).lstrip("/")
                    yield name, fs.unstrip_protocol(path), info["size"] or 0


def _hidden(name: str) -> bool:
    """Whether a file or folder is not meant to be read (_temporary, .crc, ...)."""
    return name.startswith(("_", "."))


def file_format(path: str) -> str | None:
    """parquet, json or csv, by a file's name; None for any other."""
    suffixes = [s for s in PurePosixPath(path).suffixes if s.lower() != ".gz"]
    return FORMATS.get(suffixes[-1].lower()) if suffixes else None


def splits(table: str, files: list[LogFile], target_bytes: int = 64 << 20) -> list[Split]:
    """A table's files divided into tasks of about `target_bytes`.

    Small files go together. A large Parquet file, or JSON Lines that are not packed, is cut into
    ranges of bytes; CSV (whose quotes may hold line breaks) and .gz files stay whole. The splits
    depend on the paths and sizes of the files, and on nothing else.
    """
    done: list[Split] = []
    parts: list[Part] = []
    room = target_bytes
    for file in sorted(set(files), key=lambda f: f.path):
        for part in _parts(file, target_bytes):
            cost = part.end - part.start + OPENING
            if parts and cost > room:
                done.append(Split(table, tuple(parts)))
                parts, room = [], target_bytes
            parts.append(part)
            room -= cost
    if parts:
        done.append(Split(table, tuple(parts)))
    return done


def _parts(file: LogFile, target_bytes: int) -> list[Part]:
    kind = str(file_format(file.path))
    whole = kind == "csv" or is_packed(file.path)
    n = 1 if whole else max(1, -(-file.size // target_bytes))
    cuts = [file.size * i // n for i in range(n + 1)]
    return [
        Part(file.path, kind, low, high, file.size)
        for low, high in zip(cuts[:-1], cuts[1:], strict=True)
    ]


def header(table: RawTable, files: list[LogFile]) -> tuple[str, list[str]]:
    """Format of a table's files and the columns that they have.

    Raises IntentError if a required column is missing or formats are mixed.
    """
    kinds = {file_format(f.path) for f in files}
    if len(kinds) > 1:
        mixed = " and ".join(sorted(map(str, kinds)))
        raise IntentError(f"table {table.name} mixes {mixed} files; use one kind")
    kind = str(kinds.pop())
    read = {"parquet": log_parquet.columns, "json": log_json.columns, "csv": log_csv.columns}[kind]
    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        found = list(pool.map(read, [f.path for f in files]))
    present = list(dict.fromkeys(name for names in found for name in names or ()))
    if kind == "json":  # a writer of JSON leaves out what is null, so any column may turn up
        required = [c for c in table.required if c in IDENTIFYING]
        if any(names is not None for names in found):
            _require(table, required, present, files[0].path)
        return kind, list(table.columns)
    if kind == "csv":  # one without its header would lose every row
        for file, names in zip(files, found, strict=True):
            if names:  # else it is empty
                _require(table, list(table.required), names, file.path)
    else:
        _require(table, list(table.required), present, files[0].path)
    return kind, present


def _require(table: RawTable, required: list[str], present: list[str], path: str) -> None:
    missing = [c for c in required if c not in present]
    if missing:
        raise IntentError(
            f"table {table.name} ({path}) lacks the required column {', '.join(missing)}; "
            f"it has: {', '.join(present) or 'none'}"
        )
