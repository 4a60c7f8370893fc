"""Petastorm's traps in reading: rows lost at the end of data, workers that fail, memory maps.

Each trap is shown first, in Petastorm itself or with our handling taken away; then that we are out
of it. `docs/decisions/petastorm.md` has the list.
"""

from __future__ import annotations

import itertools
import queue
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent.errors import IntentError
from intent.samples import rowgroups
from intent.samples.petastorm_compat import install
from intent.samples.rowgroups import read_row_groups
from tests.support.feeds import eventually, make_feed, no_new_threads, units

ROW_GROUPS, ROWS = 6, 10
ITEMS = [("part.parquet", g) for g in range(ROW_GROUPS)]
EVERY = list(range(ROW_GROUPS * ROWS))


@pytest.fixture(scope="module", autouse=True)
def petastorm():
    install()
    import petastorm

    return petastorm


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    pq.write_table(pa.table({"id": EVERY}), root / "part.parquet", row_group_size=ROWS)
    return root


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    return make_feed(tmp_path_factory.mktemp("samples"), row_group=24)


@pytest.fixture(autouse=True)
def no_thread_stays_behind():
    with no_new_threads():
        yield


def by_petastorm(petastorm, store, **options) -> list[int]:
    """What Petastorm's own reader gives, sorted."""
    with petastorm.make_batch_reader(store.as_uri(), **options) as reader:
        return sorted(int(i) for batch in reader for i in batch.id)


def by_us(store, **options) -> list[int]:
    """What our reader gives, in its order."""
    return [i for t in read_row_groups(str(store), ITEMS, **options) for i in t["id"].to_pylist()]


# ---------------------------------------------------------------- the race at the end of data


def test_petastorm_loses_rows_where_its_ventilator_is_overtaken(petastorm, store, monkeypatch):
    """`ThreadPool.get_results` looks at its workers first and at the ventilator second.

    If everything is sent between the two looks, "nothing is outstanding" and "nothing is to come"
    were both true, but never together. Here two threads wait where any thread may have to; all else
    is Petastorm's code. It is the same order of looks in 0.13.1, which takes them in a busy loop
    and therefore meets the gap in up to 41 % of reads.
    """
    from petastorm.workers_pool.ventilator import ConcurrentVentilator

    assert by_petastorm(petastorm, store) == EVERY
    looked = threading.Event()
    ventilate, completed = ConcurrentVentilator._ventilate, ConcurrentVentilator.completed

    def late_ventilate(self):
        looked.wait(5)
        ventilate(self)

    def late_completed(self):
        if threading.current_thread() is not self._ventilation_thread:
            looked.set()  # the workers have been looked at: nothing outstanding
            self._ventilation_thread.join(5)  # now everything is sent
        return completed(self)

    monkeypatch.setattr(ConcurrentVentilator, "_ventilate", late_ventilate)
    monkeypatch.setattr(ConcurrentVentilator, "completed", late_completed)
    assert by_petastorm(petastorm, store) == []  # 60 rows are gone, and nobody is told
    assert by_us(store) == EVERY  # there is no ventilator: the consumer itself hands out the work


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("prefetch", [1, 4, 20])
def test_a_stale_look_at_the_workers_does_no_harm(store, monkeypatch, workers, prefetch):
    """The queue was empty when it was looked at, and is not by the time when that is used."""
    from petastorm.workers_pool import thread_pool

    class Stale(queue.Queue):
        wrong = 0

        def empty(self):
            found = super().empty()
            time.sleep(0.005)
            Stale.wrong += found and not super().empty()
            return found

    class Slow(rowgroups._Worker):
        def process(self, position, path, row_group):
            time.sleep(0.002)
            super().process(position, path, row_group)

    names = {**vars(queue), "Queue": Stale}
    monkeypatch.setattr(thread_pool, "queue", SimpleNamespace(**names))
    monkeypatch.setattr(rowgroups, "_Worker", Slow)
    assert by_us(store, workers=workers, prefetch=prefetch) == EVERY
    assert Stale.wrong  # it did happen


def end_early(monkeypatch, after: int) -> None:
    """The pool says "end of data" after some results, as it does when the race is lost."""
    from petastorm.workers_pool import EmptyResultError, thread_pool

    get_results, calls = thread_pool.ThreadPool.get_results, itertools.count()

    def early(self):
        if next(calls) >= after:
            raise EmptyResultError
        return get_results(self)

    monkeypatch.setattr(thread_pool.ThreadPool, "get_results", early)


@pytest.mark.parametrize("after", [0, 1, ROW_GROUPS - 1])
def test_an_end_that_comes_too_early_is_an_error(petastorm, store, feed, monkeypatch, after):
    with monkeypatch.context() as patch:
        end_early(patch, after)
        assert len(by_petastorm(petastorm, store)) == after * ROWS  # the control: in silence
    with monkeypatch.context() as patch:
        end_early(patch, after)
        with pytest.raises(IntentError, match="part.parquet: row group .* never came back"):
            by_us(store)
    with monkeypatch.context() as patch:
        end_early(patch, after)
        with pytest.raises(IntentError, match="row group .* never came back"):
            list(feed.batches(0))


def test_rows_lost_inside_a_row_group_are_an_error(feed, monkeypatch):
    """Whatever a reader may lose: the groups of each row group are compared with the manifest."""

    read = rowgroups.read
    monkeypatch.setattr(rowgroups, "read", lambda *where: read(*where)[:-1])
    tables = list(read_row_groups(str(feed.root), list(units(feed))))
    assert len(tables) == len(units(feed))  # the control: it looks all right
    with pytest.raises(IntentError, match=r"row group \d+: it has \d+ groups, .* says 24 and"):
        list(feed.batches(0))


def test_an_error_in_a_worker_does_not_hang(store, capfd):
    """Petastorm's worker puts its error into the queue of results and waits if that is full."""
    from petastorm.workers_pool.thread_pool import ThreadPool

    class Failing:
        def __init__(self, worker_id, publish_func, args):
            self.worker_id, self.publish_func = worker_id, publish_func

        def process(self):
            self.publish_func(b"a result that fills the queue")
            raise ZeroDivisionError

    pool, before = ThreadPool(1, results_queue_size=1), threading.active_count()
    pool.start(Failing)
    pool.ventilate()
    assert eventually(lambda: pool.results_qsize() == 1)
    pool.stop()
    assert not eventually(
        lambda: threading.active_count() == before, 0.3
    )  # the control: a join would never return
    pool._results_queue.get()
    pool.join()
    assert "ZeroDivisionError" in capfd.readouterr().err

    began = time.monotonic()  # ours: every worker fails, more often than its queue is long
    with pytest.raises(IntentError, match="gone.parquet is missing"):
        list(read_row_groups(str(store), [("gone.parquet", 0)] * 40, workers=4, prefetch=1))
    assert time.monotonic() - began < 5 and threading.active_count() == before
    assert "Traceback" not in capfd.readouterr().err


# ---------------------------------------------------------------- files cut short

CUT = """
import os, sys, pyarrow as pa
file = {open}
os.truncate(sys.argv[1], 8192)
print(len(file.read()))
"""


def test_a_file_cut_short_under_a_memory_map_kills_the_process(tmp_path):
    """We read files (`pa.OSFile`): that gives fewer bytes, and an error that names the file."""
    path = tmp_path / "file"
    found = {}
    for way in ("pa.memory_map(sys.argv[1])", "pa.OSFile(sys.argv[1])"):
        path.write_bytes(bytes(1_000_000))
        code = [sys.executable, "-c", CUT.format(open=way), str(path)]
        found[way] = subprocess.run(code, capture_output=True, text=True, timeout=30)
    mapped, read = found.values()
    assert mapped.returncode < 0  # the control: by a signal, SIGBUS on Linux
    assert (read.returncode, read.stdout) == (0, "8192\n")
