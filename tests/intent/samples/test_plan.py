"""The order of an epoch: every group once, the same for any number of ranks, from any step on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intent.samples.feed import TrackFeed, ahead
from intent.samples.plan import LANES, EpochPlan, Residents, reads
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs

plans = st.builds(
    EpochPlan,
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=10).map(tuple),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 3),
    batch=st.integers(1, 40),
    pool=st.integers(1, 200),
    shuffle=st.booleans(),
)


def stream(plan: EpochPlan, world: int, start: int = 0) -> list:
    """Ids of an epoch in global order, put together from all ranks."""
    parts = [plan.take(s, r, world) for s in range(start, plan.steps) for r in range(world)]
    return [(int(u), int(i)) for unit, index in parts for u, i in zip(unit, index, strict=True)]


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(1, 8))
def test_union_of_ranks_is_every_group_once_in_one_order(plan, world):
    ids = stream(plan, world)
    assert sorted(ids) == [(u, i) for u, n in enumerate(plan.sizes) for i in range(n)]
    assert ids == stream(plan, 1)


@settings(max_examples=40, deadline=None)
@given(plans, st.integers(1, 8), st.data())
def test_resume_at_any_step_with_other_ranks_continues_the_stream(plan, world, data):
    step = data.draw(st.integers(0, plan.steps))
    rest = stream(plan, world, start=step)
    assert rest == stream(plan, 1)[min(step * plan.batch, plan.groups) :]


@settings(max_examples=40, deadline=None)
@given(plans, st.integers(1, 8))
def test_a_rank_knows_which_row_groups_it_needs(plan, world):
    for rank in range(world):
        pools, residents = plan.pools(rank, world), Residents()
        for step in range(plan.steps):
            while pools and pools[0].first <= step:
                residents.enter(pools.pop(0))
            assert set(plan.take(step, rank, world)[0].tolist()) <= residents.units


def test_row_groups_are_read_about_once():
    plan = EpochPlan((64,) * 64, seed=0, epoch=0, batch=64, pool=1024)
    assert len(reads(plan.pools(0, 1))) <= 64 + LANES
    per_rank = [len(reads(plan.pools(r, 4))) for r in range(4)]
    assert max(per_rank) <= 16 + LANES  # a rank reads its share, not everything


def test_epochs_and_seeds_differ_and_a_limit_is_kept():
    plan = EpochPlan((50, 50, 50), seed=1, epoch=0, batch=16)
    assert stream(plan, 1) == stream(replace(plan), 1)
    assert stream(plan, 1) != stream(replace(plan, epoch=1), 1)
    assert stream(plan, 1) != stream(replace(plan, seed=2), 1)
    assert len(set(stream(replace(plan, limit=70), 2))) == 70


def test_the_union_test_notices_ranks_that_shuffle_for_themselves():
    """Negative control: with a seed per rank, groups are lost and repeated."""
    plan = EpochPlan((50, 40, 30, 20, 10), seed=1, epoch=0, batch=16)
    wrong = [replace(plan, seed=r).take(s, r, 2) for s in range(plan.steps) for r in range(2)]
    ids = [(int(u), int(i)) for unit, index in wrong for u, i in zip(unit, index, strict=True)]
    assert len(set(ids)) < len(ids)


def test_shuffle_spreads_the_neighbours():
    plan = EpochPlan((64,) * 64, seed=0, epoch=0, batch=64)
    units = np.array([u for u, _ in stream(plan, 1)]).reshape(-1, 64)
    mean_units = np.mean([len(set(b)) for b in units])
    assert mean_units > 35  # of one global batch; a perfect shuffle would see 40.6


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    return root, build_samples(root, random_logs(users=6), row_group=24)


def ids_of(feed: TrackFeed, epoch: int, start: int = 0) -> list:
    """[(user, t0)] of each step's real rows."""
    return [
        [(u, int(t)) for u, t, w in zip(b.users, b.times, b.weights, strict=True) if w]
        for b in feed.batches(epoch, start)
    ]


@pytest.mark.parametrize("world", [2, 3])
def test_id_stream_from_files_is_the_same_for_1_2_and_3_ranks(samples, world):
    root, manifest = samples
    feed = TrackFeed(root, manifest, manifest.schema, batch=32, seed=5, pool=64)
    alone = ids_of(feed, 1)
    ranks = [ids_of(replace(feed, rank=r, world=world), 1) for r in range(world)]
    assert {len(r) for r in ranks} == {feed.steps(1)}
    together = [sum(parts, []) for parts in zip(*ranks, strict=True)]
    assert together == alone
    assert len({g for step in alone for g in step}) == manifest.groups
    other_seed = ids_of(replace(feed, seed=6), 1)
    assert other_seed != alone  # negative control


def test_resume_from_files_continues_the_stream_with_other_ranks(samples):
    root, manifest = samples
    feed = TrackFeed(root, manifest, manifest.schema, batch=32, seed=5, pool=64)
    alone = ids_of(feed, 0)
    ranks = [ids_of(replace(feed, rank=r, world=3), 0, start=4) for r in range(3)]
    assert [sum(parts, []) for parts in zip(*ranks, strict=True)] == alone[4:]


def test_batches_have_one_shape_and_short_ones_are_filled_with_weight_0(samples):
    root, manifest = samples
    feed = TrackFeed(root, manifest, manifest.schema, batch=100, world=3, rank=2)
    batches = list(feed.batches(0))
    assert {b.inputs["swipe"].shape[0] for b in batches} == {34}
    assert {b.inputs["swipe"].dtype.str for b in batches} == {"|u1"}
    assert {b.inputs["browse"].dtype.str for b in batches} == {"<u2"}
    assert sum(b.total for b in batches) == manifest.groups
    # a last batch too short for this rank still has its shape, also right after a resume
    tiny = replace(feed, limit=101)
    for start in (0, 1):
        last = list(tiny.batches(0, start))[-1]
        assert last.step == 1 and last.weights.sum() == 0 and last.total == 1
        assert last.inputs["history"].shape == (34, 18) and not last.inputs["swipe"].any()
    assert sum(b.total for b in replace(feed, batch=2, limit=4).batches(0)) == 4  # more ranks


def test_labels_by_lot_keep_the_rate_and_nothing_else(samples):
    root, manifest = samples
    feed = TrackFeed(root, manifest, manifest.schema, batch=64)

    def labels(feed: TrackFeed) -> np.ndarray:
        return np.concatenate([b.labels[b.weights > 0] for b in feed.batches(0)])

    real, lot = labels(feed), labels(replace(feed, random_labels=True))
    assert abs(lot.mean(axis=0) - real.mean(axis=0)).max() < 0.08 and (lot != real).any()
    ranks = [replace(feed, random_labels=True, rank=r, world=2) for r in (0, 1)]
    assert sum(labels(r).sum() for r in ranks) == lot.sum()  # the same for any number of ranks


def test_reading_ahead_passes_errors_on_and_stops_when_left():
    import threading

    def broken():
        yield 1
        raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        list(ahead(broken(), depth=2))

    def endless():
        while True:
            yield 1

    iterator = ahead(endless(), depth=2)
    assert next(iterator) == 1
    iterator.close()
    assert not [t for t in threading.enumerate() if t.name == "feed" and t.is_alive()]
