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

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from intent.errors import IntentError
from intent.samples.shard_reading import Source, converted, read

T = TypeVar("T")
log = logging.getLogger(__name__)
PATIENCE_S = 100  # for one row group; less than ranks wait for one another (cluster/watchdog.py)
LEAVE_S = 10  # for the workers' last reads, when nobody wants them any more


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
    source = Source.of(root, columns, dict(sizes or {}), convert or _as_it_is)
    return _ordered(source, items, workers, prefetch)


def _ordered(
    source: Source, items: Sequence[tuple[str, int]], workers: int, prefetch: int
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
    sent, over = 0, threading.Event()
    threading.Thread(target=_watch, args=(source, over), daemon=True, name="patience").start()
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
        over.set()
        pool.stop()
        for worker in pool._workers:  # as the pool's own `join`, but not for ever
            worker.join(0 if source.stalled else LEAVE_S)
        source.let_go()  # pool, workers and source hold one another in a circle


def _watch(source: Source, over: threading.Event) -> None:
    """Says which file a worker waits for, and gives it up: a drive that hangs has no end."""
    looks: Counter = Counter()  # counted, for no time passes here while the process is halted
    while not over.wait(PATIENCE_S / 100):
        for position, path in list(source.busy.values()):
            looks[position] += 1
            if looks[position] == 30:
                log.warning("waiting for %s since %.0f s", path, 0.3 * PATIENCE_S)
            if looks[position] == 100:
                source.stalled = True
                source.publish((position, _stalled(path)))
                return


def _stalled(path: str) -> IntentError:
    return IntentError(
        f"{path}: reading it has not come to an end for {PATIENCE_S} s; the disk or network it is "
        "on does not answer: start again when it does"
    )


def _lost(source: Source, item: tuple[str, int]) -> IntentError:
    return IntentError(
        f"{source.path(item[0])}: row group {item[1]} was asked for and never came back from the "
        "reader; this is a fault of the reader, not of the file: please report it"
    )


def _as_it_is(table: pa.Table, _: int) -> pa.Table:
    return table


class _Worker:
    """Petastorm's worker protocol (`petastorm.workers_pool.worker_base.WorkerBase`)."""

    def __init__(self, worker_id: int, publish_func: Any, args: Source) -> None:
        self.worker_id = worker_id
        self.publish_func = publish_func
        self._source = args
        args.publish = publish_func

    def process(self, position: int, path: str, row_group: int) -> None:
        """Publishes (position, table or what it is converted to), or (position, error)."""
        busy = self._source.busy
        busy[self.worker_id] = position, self._source.path(path)
        try:
            table = read(self._source, path, row_group)
            result = converted(self._source, table, position, path, row_group)
        except IntentError as error:
            result = error
        finally:
            del busy[self.worker_id]
        self.publish_func((position, result))

    def shutdown(self) -> None:
        """Nothing is kept open."""
