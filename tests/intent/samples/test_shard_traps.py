"""Petastorm's traps over row groups and ranks: unequal shards, giant row groups.

Each trap is shown first, in Petastorm itself or with our handling taken away; then that we are out
of it. `docs/decisions/petastorm.md` has the list.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from intent.samples import rowgroups, shares
from intent.samples.petastorm_compat import install
from intent.samples.reader import AHEAD, TrackFeed
from intent.samples.rowgroups import read_row_groups
from tests.support.feeds import eventually, ids, make_feed, no_new_threads, units


@pytest.fixture(scope="module", autouse=True)
def petastorm():
    install()
    import petastorm

    return petastorm


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
    """72 row groups of 12 groups."""
    feed = make_feed(tmp_path_factory.mktemp("many"), row_group=12, users=24)
    assert set(units(feed).values()) == {12} and len(units(feed)) == 72
    return replace(feed, batch=8)


@pytest.fixture(autouse=True)
def no_thread_stays_behind():
    with no_new_threads():
        yield


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
        shards_of(petastorm, feed, len(units(feed)) + 1)


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
    assert len(units(one)) == 1
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
    size, out, most = units(feed), 0, 0
    share = sharing(feed)
    for batch in feed.batches(0):
        if batch.step % 32 == 0:
            most = max(most, sum(size[item] for item in settled(started)) - out)
        out += share * len(ids(batch))  # what ranks of the same lane hand out is let go of, too
    return most


def sharing(feed: TrackFeed) -> int:
    """How many ranks read the same lane."""
    return max(feed.world // feed.plan(0).lanes, 1)


def may_hold(feed: TrackFeed) -> float:
    """Groups: a rank's share of the pool, of the steps laid out together and of the batches made
    ahead; one row group more in each of its lanes, and one that enters; and those read ahead, half
    as many groups as the pool has, but at least one row group."""
    plan = feed.plan(0)
    lanes, largest = -(-plan.lanes // feed.world), max(plan.sizes)
    share = (feed.pool + (plan.window + AHEAD + 1) * feed.batch) / feed.world * sharing(feed)
    return share + (lanes + 1) * largest + max(feed.pool / feed.world / 2, largest)


@pytest.mark.parametrize("pool", [8, 192])  # row groups that are giants for the pool, and smaller
@pytest.mark.parametrize("world", [1, 8])
def test_few_row_groups_are_held(many, started, world, pool):
    rank = replace(many, world=world, pool=pool)
    assert 0 < most_held(rank, started) <= may_hold(rank)


def test_giants_are_too_many_where_they_are_only_counted(many, started, monkeypatch):
    """The control: as many row groups ahead as where they are small."""

    def counting(*args, **options):
        return read_row_groups(*args, **{**options, "prefetch": AHEAD})

    monkeypatch.setattr(shares, "read_row_groups", counting)
    rank = replace(many, batch=1, pool=8)
    batches = rank.batches(0)
    out = len(ids(next(batches)))
    assert eventually(lambda: len(started) * 12 - out > may_hold(rank))
    batches.close()


def test_petastorm_holds_as_many_as_it_has_workers_and_two(petastorm, many, monkeypatch):
    """The control: by count alone, 12 by default, and before the first row is asked for."""
    from petastorm.py_dict_reader_worker import PyDictReaderWorker

    read, process = [], PyDictReaderWorker.process

    def recording(self, piece_index, *args, **kwargs):
        read.append(piece_index)
        return process(self, piece_index, *args, **kwargs)

    monkeypatch.setattr(PyDictReaderWorker, "process", recording)
    with petastorm.make_reader(many.root.as_uri()):
        assert eventually(lambda: len(read) == 12) and len(settled(read)) == 12
