"""A row group out of a Parquet file, or one clear error about that file."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from intent import storage
from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples.shard_files import missing


@dataclass
class Source:
    """Where the workers read: shared by them, and the footers they have seen."""

    root: str
    fs: Any  # an fsspec file system; None: this machine's own
    base: str
    columns: list[str] | None
    sizes: dict[str, int]
    convert: Callable[[pa.Table, int], Any]
    footers: dict[str, tuple[tuple, pq.FileMetaData]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    busy: dict[int, tuple[int, str]] = field(default_factory=dict)  # worker -> which item, path
    publish: Callable[[Any], None] = print  # the pool's
    stalled: bool = False

    @staticmethod
    def of(
        root: str,
        columns: Sequence[str] | None,
        sizes: dict[str, int],
        convert: Callable[[pa.Table, int], Any],
    ) -> Source:
        here = storage.local(root)
        fs, base = storage.filesystem(root) if here is None else (None, str(here))
        columns = None if columns is None else list(columns)
        return Source(str(root), fs, base.rstrip("/"), columns, sizes, convert)

    def let_go(self) -> None:
        """Hold nothing of any size any more."""
        self.footers.clear()
        self.publish = self.convert = print

    def path(self, name: str) -> str:
        """The full path of a file below the root."""
        return f"{self.base}/{name}"

    def open(self, path: str) -> Any:
        """The file, natively where it is a local one: Arrow then reads without Python's lock."""
        if self.fs is None:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise IntentError(f"{path}: it is no regular file; build the data set again")
            return pa.OSFile(path, "rb")
        # Arrow knows what it needs and asks for that at once; fsspec would read 50 MB on each time.
        return self.fs.open(path, "rb", cache_type="none")

    def version(self, path: str, file: Any) -> tuple:
        """What changes when the file is replaced by another, but not by an equal object."""
        if self.fs is None:
            info = os.stat(path)
            return info.st_size, info.st_mtime_ns, info.st_ino
        info = getattr(file, "details", None) or self.fs.info(path)  # opening it asked already
        etag = info.get("ETag") or info.get("etag")
        return info["size"], etag or str(info.get("LastModified") or info.get("mtime"))

    def parquet(self, name: str, path: str, file: Any) -> pq.ParquetFile:
        """The file with its footer, parsed once; IntentError where it changed since then."""
        version = self.version(path, file)
        if version[0] != self.sizes.get(name, version[0]):
            raise IntentError(
                f"{path}: the file has {version[0]:,} bytes, it was made with "
                f"{self.sizes[name]:,}; it was cut short or replaced: build the data set again"
            )
        with self.lock:
            known, footer = self.footers.get(path, (version, None))
        if known != version:
            raise IntentError(
                f"{path}: the file changed while it was being read from; leave a data set alone "
                "while it is used, and start again"
            )
        parquet = pq.ParquetFile(
            file,
            metadata=footer,
            page_checksum_verification=True,
            pre_buffer=self.fs is not None,  # a few large requests, not two a column
        )
        with self.lock:
            self.footers[path] = (version, parquet.metadata)
        return parquet


def read(source: Source, name: str, row_group: int) -> pa.Table:
    """One row group; IntentError for whatever goes wrong with its file."""
    try:
        return _read_file(source, name, source.path(name), row_group)
    except FileNotFoundError:
        try:
            path = source.path(f"{manifests.REPLACED}/{name}")
            return _read_file(source, name, path, row_group)
        except FileNotFoundError:
            raise missing(source.root, name) from None


def _read_file(source: Source, name: str, path: str, row_group: int) -> pa.Table:
    try:
        with closing(source.open(path)) as file:
            parquet = source.parquet(name, path, file)
            if not 0 <= row_group < parquet.num_row_groups:
                raise IntentError(
                    f"{path}: there is no row group {row_group}, the file has "
                    f"{parquet.num_row_groups}; rebuild the data set that names it"
                )
            there = parquet.schema_arrow.names
            missing = [name for name in source.columns or () if name not in there]
            if missing:
                raise IntentError(f"{path}: no column {missing[0]!r}; there are {', '.join(there)}")
            # The pool's threads are the parallelism; Arrow's own on top only gets in its way.
            table = parquet.read_row_group(row_group, columns=source.columns, use_threads=False)
            expected = parquet.metadata.row_group(row_group).num_rows
    except (IntentError, FileNotFoundError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise IntentError(
            f"{path}: row group {row_group} cannot be read ({text}); the file is damaged or was "
            "cut short: rebuild the data set"
        ) from error
    if table.num_rows != expected:
        raise IntentError(f"{path}: row group {row_group} has {table.num_rows} of {expected} rows")
    return table if source.columns is None else table.select(source.columns)


def converted(source: Source, table: pa.Table, position: int, name: str, row_group: int) -> Any:
    """What a table is handed out as; IntentError for whatever goes wrong with it."""
    try:
        return source.convert(table, position)
    except Exception as error:
        what = str(error) if isinstance(error, IntentError) else f"cannot be decoded ({error!r})"
        raise IntentError(f"{source.path(name)}: row group {row_group}: {what}") from error
