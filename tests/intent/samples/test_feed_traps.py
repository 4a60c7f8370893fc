"""Petastorm's traps over epochs and ranks: memory, reset, unequal shards, giant row groups.

Each trap is shown first, in Petastorm itself or with our handling taken away; then that we are out
of it. `docs/decisions/petastorm.md` has the list; `test_reader_traps.py` has the rest.
"""

from __future__ import annotations

import gc
import itertools
import os
import threading
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from intent.samples import layout, rowgroups
from intent.samples.petastorm_compat import install
from intent.samples.plan import LANES
from intent.samples.reader import TrackFeed
from intent.samples.rowgroups import read_row_groups
from intent.samples.store import write_petastorm_metadata
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module", autouse=True)
def petastorm():
    install()
    import petastorm

    return petastorm


def make_feed(root, row_group: int, users: int = 6) -> TrackFeed:
    """A dataset that both can read, ours and Petastorm's `make_reader`."""
    manifest = build_samples(root, random_logs(users=users), row_group=row_group)
    schema = manifest.schema
    arrow, fields = layout.arrow_schema(schema), layout.unischema(schema)
    write_petastorm_metadata(str(root), arrow, fields, manifest.shards)
    return TrackFeed(root, manifest, schema, batch=24, seed=5, pool=64)


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """9 row groups of 24 groups."""
    return make_feed(tmp_path_factory.mktemp("samples"), row_group=24)


@pytest.fixture(scope="module")
def giants(tmp_path_factory):
    """3 row groups, of a day each, with everything that there is."""
    return make_feed(tmp_path_factory.mktemp("giants"), row_group=10**6)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """72 row groups of 12 groups, as large as the share of the pool in a lane."""
    return replace(make_feed(tmp_path_factory.mktemp("many"), row_group=12, users=24), pool=96)


@pytest.fixture(autouse=True)
def no_thread_stays_behind():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def ids(batch) -> list:
    """(user, t0) of the real rows of a batch."""
    rows = zip(batch.users.tolist(), batch.times.tolist(), batch.weights, strict=True)
    return [(user, t0) for user, t0, weight in rows if weight]


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
        for epoch in range(4):  # modules, caches and Arrow's pools fill up
            run(epoch)
        before = footprint()
        for epoch in range(4, 4 + epochs):
            run(epoch)
        return footprint() - before
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_epochs(feed):
    threads, files, arrow, python = growth(feed, 8)
    assert (threads, files) == (0, 0)
    assert arrow <= 0 and python < 30_000


def test_the_measure_notices_a_leak(feed):
    *_, python = growth(feed, 8, keep=[])
    assert python > 100_000


def test_threads_stay_where_nobody_ends_the_pool(petastorm, feed, monkeypatch):
    """The controls: Petastorm's reader at its end, and ours without `stop` and `join`."""
    from petastorm.workers_pool.thread_pool import ThreadPool

    before, readers, pools = threading.active_count(), [], []
    for _ in range(3):
        readers.append(petastorm.make_reader(feed.root.as_uri()))
        assert len(list(readers[-1])) == feed.manifest.rows
    assert threading.active_count() >= before + 3 * 10
    for reader in readers:
        reader.stop()
        reader.join()

    stop, join, started = ThreadPool.stop, ThreadPool.join, threading.active_count()
    monkeypatch.setattr(ThreadPool, "stop", lambda self: pools.append(self))
    monkeypatch.setattr(ThreadPool, "join", lambda self: None)
    for epoch in range(3):
        assert len(list(feed.batches(epoch))) == feed.steps(epoch)
    assert threading.active_count() == started + 3 * 2
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


# ---------------------------------------------------------------- unequal shards


def shards_of(petastorm, feed: TrackFeed, count: int) -> list[int]:
    """Groups in each of Petastorm's shards."""
    found = []
    for i in range(count):
        options = {"cur_shard": i, "shard_count": count, "workers_count": 1}
        with petastorm.make_reader(feed.root.as_uri(), schema_fields=["groups"], **options) as rows:
            found.append(sum(int(row.groups) for row in rows))
    return found


def test_petastorms_shards_are_unequal(petastorm, feed):
    """A rank that runs dry leaves the others waiting in an allreduce for ever."""
    from petastorm.errors import NoDataAvailableError

    for count in (2, 4, 8):
        groups = shards_of(petastorm, feed, count)
        assert sum(groups) == feed.manifest.groups
        assert len({-(-n // 3) for n in groups}) > 1  # steps of batches of 3
    with pytest.raises(NoDataAvailableError, match="greater or equal to the number"):
        shards_of(petastorm, feed, len(feed.units) + 1)


@pytest.mark.parametrize("world", [2, 4, 8, 11])
@pytest.mark.parametrize("which", ["feed", "giants"])
def test_ranks_take_equal_steps_and_miss_nothing(request, which, world):
    """Also with fewer row groups than ranks: 3 for 11."""
    feed = request.getfixturevalue(which)
    alone = [ids(batch) for batch in feed.batches(1)]
    assert len({group for step in alone for group in step}) == feed.manifest.groups
    ranks = [list(replace(feed, rank=r, world=world).batches(1)) for r in range(world)]
    assert {len(batches) for batches in ranks} == {feed.steps(1)}
    assert {b.labels.shape for batches in ranks for b in batches} == {
        (-(-24 // world), len(feed.schema.tasks))
    }
    assert [sum(map(ids, step), []) for step in zip(*ranks, strict=True)] == alone


# ---------------------------------------------------------------- giant row groups


def test_one_row_group_is_shared_by_all_ranks(giants):
    one = replace(giants, manifest=giants.manifest.only(giants.manifest.days[:1]))
    assert len(one.units) == 1
    alone = [ids(batch) for batch in one.batches(0)]
    assert sum(map(len, alone)) == one.manifest.groups > 24
    for world in range(1, 9):
        ranks = [list(replace(one, rank=r, world=world).batches(0)) for r in range(world)]
        assert {len(batches) for batches in ranks} == {one.steps(0)}
        assert [sum(map(ids, step), []) for step in zip(*ranks, strict=True)] == alone


@pytest.fixture
def started(monkeypatch) -> list:
    """(path, row group) of everything that our workers were asked to read."""

    class Recording(rowgroups._Worker):
        items: list = []

        def process(self, position, path, row_group):
            self.items.append((path, row_group))
            super().process(position, path, row_group)

    monkeypatch.setattr(rowgroups, "_Worker", Recording)
    return Recording.items


def settled(items: list) -> list:
    """`items`, once nothing has been added for a while."""
    count = -1
    while count != len(items):
        count = len(items)
        time.sleep(0.1)
    return items


def most_held(feed: TrackFeed, started: list) -> int:
    """Most groups that were read and not yet handed out, looked at now and then."""
    size = dict(zip(feed.units, feed.plan(0).sizes, strict=True))
    out, most = 0, 0
    for batch in feed.batches(0):
        if batch.step % 9 == 0:
            most = max(most, sum(size[item] for item in settled(started)) - out)
        out += len(ids(batch))
    return most


def may_hold(feed: TrackFeed) -> int:
    """Groups: a rank's share of the pool, a row group more in each of its lanes, those that are
    read ahead, and the batches that are made ahead."""
    lanes, largest = LANES // feed.world, max(feed.plan(0).sizes)
    return feed.pool // feed.world + (lanes + 1 + 4) * largest + (1 + 4) * feed.batch // feed.world


@pytest.mark.parametrize("world", [1, 8])
def test_few_row_groups_are_held(many, started, world):
    rank = replace(many, world=world)
    assert max(rank.plan(0).sizes) == 12 and len(many.units) == 72
    assert 0 < most_held(rank, started) <= may_hold(rank)


def test_the_measure_notices_a_reader_that_runs_ahead(many, started, monkeypatch):
    monkeypatch.setitem(read_row_groups.__kwdefaults__, "prefetch", 100)
    rank = replace(many, world=8)
    assert most_held(rank, started) > may_hold(rank)


def test_petastorm_holds_as_many_as_it_has_workers_and_two(petastorm, many, monkeypatch):
    """The control: by count alone, 12 by default, and before the first row is asked for."""
    from petastorm.py_dict_reader_worker import PyDictReaderWorker

    read, process = [], PyDictReaderWorker.process

    def recording(self, piece_index, *args, **kwargs):
        read.append(piece_index)
        return process(self, piece_index, *args, **kwargs)

    monkeypatch.setattr(PyDictReaderWorker, "process", recording)
    with petastorm.make_reader(many.root.as_uri()):
        assert len(settled(read)) == 12
