"""Reads chosen row groups of a Parquet store, in a chosen order, through Petastorm's worker pool.

The epoch plan names the row groups and their order; Petastorm's own `Reader` can do neither (it
takes all, or a random order, and with several workers returns whichever is ready first). So its
thread pool runs a worker of ours, which reads one row group as an Arrow table with nothing decoded,
and `read_row_groups` hands the work out itself: never more than `prefetch` row groups ahead of the
consumer, which is what bounds the memory, and puts the results back into the order asked for.

Three traps of the pool are avoided on the way. Its end-of-data test is never reached with work
outstanding, because we count. An exception in a worker would be printed and put into a queue that
may be full, so ours are published as values. And workers open files by read, not by memory map: a
file that is cut short under a map kills the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from intent import storage
from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples.shard_files import missing

T = TypeVar("T")


def read_row_groups(
    root: str,
    items: Sequence[tuple[str, int]],
    columns: Sequence[str] | None = None,
    *,
    workers: int = 2,
    prefetch: int = 4,
    sizes: Mapping[str, int] | None = None,
    convert: Callable[[pa.Table, int], T] | None = None,
) -> Iterator[pa.Table | T]:
    """The row groups `items` as tables, one for each item and in that order.

    Reading starts with the first `next()`. Closing the iterator, or leaving it to the garbage
    collector, ends the worker threads.

    Args:
        root: a folder, or its URL in any scheme that fsspec knows.
        items: (path below `root`, index of the row group) in any order, also several times.
        columns: the columns to read, in this order; all by default.
        workers: threads that read.
        prefetch: row groups held or being read, at most, besides the one handed out.
        sizes: bytes of each path's file, as it was when `items` were made.
        convert: what is handed out of a table and its place in `items`; called by the threads.

    Raises:
        IntentError: a file is missing, damaged, cut short, of another size or changed while it was
            read from; a row group or column does not exist; `convert` failed. It names the file,
            and no thread is left behind. (Files that a rebuilt dataset no longer names are found
            for one rebuild more: see `orphans`.)
    """
    if workers < 1 or prefetch < 1:
        raise ValueError(f"workers and prefetch must be at least 1, not {workers} and {prefetch}")
    source = _Source.of(root, columns, dict(sizes or {}), convert or _as_it_is)
    return _ordered(source, items, workers, prefetch)


def _ordered(
    source: _Source, items: Sequence[tuple[str, int]], workers: int, prefetch: int
) -> Iterator[pa.Table]:
    from intent.samples.petastorm_compat import install

    install()
    from petastorm.workers_pool import EmptyResultError, thread_pool

    # Idle workers look for work every millisecond, which with four of them is 5 % of a core.
    thread_pool.IO_TIMEOUT_INTERVAL_S = 0.02
    # A row group is two messages, its table and "done": with this size no worker ever has to wait.
    pool = thread_pool.ThreadPool(workers, results_queue_size=2 * prefetch + 2)
    pool.start(_Worker, source)
    early: dict[int, pa.Table] = {}  # read before their turn
    sent = 0
    try:
        for position in range(len(items)):
            # The one that is due and `prefetch` more; the sum bounds `early` and the queues too.
            while sent < min(position + 1 + prefetch, len(items)):
                path, row_group = items[sent]
                pool.ventilate(position=sent, path=path, row_group=row_group)
                sent += 1
            while position not in early:
                try:
                    number, result = pool.get_results()
                except EmptyResultError:
                    raise _lost(source, items[position]) from None
                if isinstance(result, IntentError):
                    raise result
                early[number] = result
            yield early.pop(position)
    finally:
        pool.stop()
        pool.join()


def _lost(source: _Source, item: tuple[str, int]) -> IntentError:
    return IntentError(
        f"{source.path(item[0])}: row group {item[1]} was asked for and never came back from the "
        "reader; this is a fault of the reader, not of the file: please report it"
    )


@dataclass
class _Source:
    """Where the workers read: shared by them, and the footers they have seen."""

    root: str
    fs: Any  # an fsspec file system; None: this machine's own
    base: str
    columns: list[str] | None
    sizes: dict[str, int]
    convert: Callable[[pa.Table, int], Any]
    footers: dict[str, tuple[tuple, pq.FileMetaData]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    def of(
        root: str,
        columns: Sequence[str] | None,
        sizes: dict[str, int],
        convert: Callable[[pa.Table, int], Any],
    ) -> _Source:
        here = storage.local(root)
        fs, base = storage.filesystem(root) if here is None else (None, str(here))
        columns = None if columns is None else list(columns)
        return _Source(str(root), fs, base.rstrip("/"), columns, sizes, convert)

    def path(self, name: str) -> str:
        """The full path of a file below the root."""
        return f"{self.base}/{name}"

    def open(self, path: str) -> Any:
        """The file, natively where it is a local one: Arrow then reads without Python's lock."""
        if self.fs is None:
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


def _read(source: _Source, name: str, row_group: int) -> pa.Table:
    """One row group; IntentError for whatever goes wrong with its file."""
    try:
        return _read_file(source, name, source.path(name), row_group)
    except FileNotFoundError:
        try:
            path = source.path(f"{manifests.REPLACED}/{name}")
            return _read_file(source, name, path, row_group)
        except FileNotFoundError:
            raise missing(source.root, name) from None


def _read_file(source: _Source, name: str, path: str, row_group: int) -> pa.Table:
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


def _converted(source: _Source, table: pa.Table, position: int, name: str, row_group: int) -> Any:
    """What a table is handed out as; IntentError for whatever goes wrong with it."""
    try:
        return source.convert(table, position)
    except Exception as error:
        what = str(error) if isinstance(error, IntentError) else f"cannot be decoded ({error!r})"
        raise IntentError(f"{source.path(name)}: row group {row_group}: {what}") from error


def _as_it_is(table: pa.Table, _: int) -> pa.Table:
    return table


class _Worker:
    """Petastorm's worker protocol (`petastorm.workers_pool.worker_base.WorkerBase`)."""

    def __init__(self, worker_id: int, publish_func: Any, args: _Source) -> None:
        self.worker_id = worker_id
        self.publish_func = publish_func
        self._source = args

    def process(self, position: int, path: str, row_group: int) -> None:
        """Publishes (position, table or what it is converted to), or (position, error)."""
        try:
            table = _read(self._source, path, row_group)
            result = _converted(self._source, table, position, path, row_group)
        except IntentError as error:
            result = error
        self.publish_func((position, result))

    def shutdown(self) -> None:
        """Nothing is kept open."""
