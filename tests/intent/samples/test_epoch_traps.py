"""Petastorm's traps over epochs: threads and memory that stay, `reset()` in mid-epoch.

Each trap is shown first, in Petastorm itself or with our handling taken away; then that we are out
of it. `docs/decisions/petastorm.md` has the list.
"""

from __future__ import annotations

import gc
import itertools
import os
import threading
import tracemalloc
import weakref
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from intent.samples import rowgroups
from intent.samples.petastorm_compat import install
from intent.samples.reader import TrackFeed
from intent.samples.shard_reading import Source
from tests.support.feeds import ids, make_feed, no_new_threads


@pytest.fixture(scope="module", autouse=True)
def petastorm():
    install()
    import petastorm

    return petastorm


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """9 row groups of 24 groups."""
    return make_feed(tmp_path_factory.mktemp("samples"), row_group=24)


@pytest.fixture(autouse=True)
def no_thread_stays_behind():
    with no_new_threads():
        yield


# ---------------------------------------------------------------- threads and memory over epochs


def footprint() -> np.ndarray:
    """[threads, open files, bytes of Arrow, bytes of Python and NumPy] of this process."""
    gc.collect()
    files = len(os.listdir("/proc/self/fd"))
    python, _ = tracemalloc.get_traced_memory()
    return np.array([threading.active_count(), files, pa.total_allocated_bytes(), python])


def growth(feed: TrackFeed, epochs: int, keep: list | None = None) -> np.ndarray:
    """How the footprint grows over `epochs` of 2 steps, of which every other is left midway."""
    feed = replace(feed, limit=2 * feed.batch)

    def run(epoch: int) -> None:
        batches = feed.batches(epoch)
        for batch in itertools.islice(batches, feed.steps(epoch) // (1 + epoch % 2)):
            if keep is not None:
                keep.append(batch)
        batches.close()

    tracemalloc.start()
    try:
        for epoch in range(2):  # modules, caches and Arrow's pools fill up
            run(epoch)
        before = footprint()
        for epoch in range(2, 2 + epochs):
            run(epoch)
        return footprint() - before
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_epochs(feed):
    threads, files, arrow, python = growth(feed, 6)
    assert (threads, files) == (0, 0)
    assert arrow <= 0 and python < 30_000


def test_the_measure_notices_a_leak(feed):
    *_, python = growth(feed, 6, keep=[])
    assert python > 100_000


def test_nothing_of_an_epoch_waits_for_the_garbage_collector(feed, monkeypatch):
    """What holds itself in a circle stays until its next run, which may be many epochs away."""
    plans, sources, plan, of = [], [], TrackFeed.plan, Source.of

    def planned(self, epoch):
        plans.append(weakref.ref(made := plan(self, epoch)))
        return made

    def sourced(*args):
        sources.append(made := of(*args))
        return made

    monkeypatch.setattr(TrackFeed, "plan", planned)
    monkeypatch.setattr(Source, "of", sourced)
    gc.disable()
    try:
        for epoch in range(3):
            assert sum(1 for _ in feed.batches(epoch))
        assert len(plans) == 3 and not any(made() for made in plans)
        assert len(sources) == 3 and not any(made.footers for made in sources)
    finally:
        gc.enable()


def test_threads_stay_where_nobody_ends_the_pool(petastorm, feed, monkeypatch):
    """The controls: Petastorm's reader at its end, and ours without `stop`."""
    from petastorm.workers_pool.thread_pool import ThreadPool

    before, readers, pools = threading.active_count(), [], []
    for _ in range(3):
        readers.append(petastorm.make_reader(feed.root.as_uri()))
        assert len(list(readers[-1])) == feed.manifest.rows
    assert threading.active_count() >= before + 3 * 10
    for ended in readers:
        ended.stop()
        ended.join()

    stop, join, started = ThreadPool.stop, ThreadPool.join, threading.active_count()
    monkeypatch.setattr(ThreadPool, "stop", lambda self: pools.append(self))
    monkeypatch.setattr(rowgroups, "LEAVE_S", 0)
    for epoch in range(3):
        assert len(list(feed.batches(epoch))) == feed.steps(epoch)
    assert threading.active_count() >= started + 3 * 2
    for pool in pools:
        stop(pool)
        join(pool)


# ---------------------------------------------------------------- reset in mid-epoch


def test_petastorm_cannot_start_again_in_mid_epoch(petastorm, feed):
    with petastorm.make_reader(feed.root.as_uri()) as reader:
        next(reader)
        with pytest.raises(NotImplementedError, match="in the middle of iteration"):
            reader.reset()
        assert len(list(reader)) == feed.manifest.rows - 1
        reader.reset()  # only now
        assert len(list(reader)) == feed.manifest.rows


def test_the_feed_is_left_and_started_anywhere_and_any_number_of_times(feed):
    whole = {epoch: [ids(b) for b in feed.batches(epoch)] for epoch in range(3)}
    assert whole[0] != whole[1]
    before, dice = threading.active_count(), np.random.default_rng(1)
    for epoch, start, take in zip(
        dice.integers(0, 3, 25), dice.integers(0, feed.steps(0), 25), range(25), strict=True
    ):
        batches = feed.batches(int(epoch), int(start))
        seen = [ids(b) for b in itertools.islice(batches, take % 4)]
        assert seen == whole[epoch][start : start + take % 4]
        batches.close()
        assert threading.active_count() == before


def test_two_epochs_at_the_same_time(feed):
    """An evaluation in mid-epoch, or the next epoch begun early."""
    alone = [[ids(b) for b in feed.batches(epoch)] for epoch in range(2)]
    pairs = list(zip(feed.batches(0), feed.batches(1), strict=True))
    assert [[ids(pair[e]) for pair in pairs] for e in range(2)] == alone
