"""The order of an epoch: every group once, the same for any number of ranks, from any step on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intent.samples.plan import LANES, ORDER, EpochPlan
from intent.samples.spread import draw, kept_negatives, spread

plans = st.builds(
    EpochPlan,
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=14).map(tuple).filter(any),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 3),
    batch=st.integers(1, 40),
    pool=st.integers(1, 400),
    shuffle=st.booleans(),
    limit=st.none() | st.integers(1, 200),
    buckets=st.booleans(),
)


def lengths(unit: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Some bucket of each group, of 4."""
    return np.clip(unit % 3 + (unit * 7919 + position * 104729) // 11 % 2, 0, 3)


def steps_of(plan: EpochPlan, rank: int, world: int, start: int = 0) -> list[list]:
    """[(unit, position)] of a rank at each step from `start` on."""
    found = []
    for window in range(start // plan.window, -(-plan.steps // plan.window)):
        unit, position = plan.take(window, rank, world, lengths)
        for step in range(len(unit)):
            if window * plan.window + step >= start:
                real = position[step] >= 0
                assert (np.flatnonzero(real) == np.arange(real.sum())).all()  # fillers are last
                at = (unit[step][real].tolist(), position[step][real].tolist())
                found.append(list(zip(*at, strict=True)))
    return found


def stream(plan: EpochPlan, world: int, start: int = 0) -> list:
    """Ids of an epoch in global order, put together from all ranks."""
    ranks = [steps_of(plan, rank, world, start) for rank in range(world)]
    assert {len(rank) for rank in ranks} == {plan.steps - start}  # equal steps
    return [group for step in zip(*ranks, strict=True) for part in step for group in part]


@settings(max_examples=80, deadline=None)
@given(plans, st.integers(1, 8))
def test_union_of_ranks_is_every_group_once_in_one_order(plan, world):
    ids = stream(plan, world)
    everything = [(u, i) for u, n in enumerate(plan.sizes) for i in range(n)]
    assert len(set(ids)) == len(ids) == plan.groups and set(ids) <= set(everything)
    if plan.limit is None:
        assert sorted(ids) == everything
    assert ids == stream(plan, 1)


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(1, 8), st.data())
def test_resume_at_any_step_with_other_ranks_continues_the_stream(plan, world, data):
    step = data.draw(st.integers(0, plan.steps))
    rest = stream(plan, world, start=step)
    assert rest == stream(plan, 1)[min(step * plan.batch, plan.groups) :]


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(1, 8), st.data())
def test_a_rank_has_in_memory_what_it_needs(plan, world, data):
    start = data.draw(st.integers(0, max(plan.steps - 1, 0)))
    for rank in range(world):
        stays = plan.stays(rank, world, start)
        assert [s.first for s in stays] == sorted(s.first for s in stays)
        windows = range(start // plan.window, -(-plan.steps // plan.window))
        for window in windows:
            step = window * plan.window
            here = {s.unit for s in stays if s.first <= step <= s.last}

            def known(unit: np.ndarray, position: np.ndarray, here: set = here) -> np.ndarray:
                assert here >= {*unit.tolist()}  # their lengths are asked for, too
                return lengths(unit, position)

            assert here >= {*plan.take(window, rank, world, known)[0].ravel().tolist()} - {-1}
        for unit in range(len(plan.sizes)):  # never twice at a time
            mine = sorted((s.first, s.last) for s in stays if s.unit == unit)
            assert all(a[1] < b[0] for a, b in zip(mine, mine[1:], strict=False))


def test_row_groups_are_read_about_once_and_few_are_in_memory():
    plan = EpochPlan((64,) * 512, seed=0, epoch=0, batch=64, pool=2048)
    stays = plan.stays(0, 1)
    assert len(stays) == 512
    held = [sum(s.first <= x <= s.last for s in stays) for x in range(plan.steps)]
    assert max(held) * 64 <= 2 * plan.pool
    per_rank = [len(plan.stays(r, 4)) for r in range(4)]
    assert max(per_rank) <= 512 / 4 + 2 * plan.lanes / 4 + 1  # its share, not everything
    larger = replace(plan, pool=8192, batch=256)
    assert larger.lanes == 64  # so 64 ranks read their own each
    assert max(len(larger.stays(r, 64)) for r in range(64)) <= 512 / 64 + 4


def test_lanes_are_shared_out_evenly_among_ranks_also_where_row_groups_are_unequal():
    sizes = tuple(np.random.default_rng(0).integers(2000, 4097, 400).tolist())
    plan = EpochPlan(sizes, seed=0, epoch=0, batch=256)
    assert plan.lanes == 8
    for world in (2, 4, 8):
        assert sum(len(plan.stays(r, world)) for r in range(world)) < 400 + world


def test_the_order_is_the_one_that_its_version_names():
    """Positions are saved with ORDER: whoever makes the order another one must count it up."""
    plan = EpochPlan((5, 40, 0, 17, 33, 8), seed=3, epoch=2, batch=7, pool=60)
    kept = kept_negatives(np.arange(30), 0.3, 3, 2)
    drawn = draw(np.arange(50) % 3 > 0, 30, 3, 2, 4)
    text = json.dumps(
        [
            stream(plan, 1),
            stream(replace(plan, buckets=True, batch=1), 1),
            spread(np.repeat(np.arange(9), np.arange(9)), 3, 2, 4).tolist(),
            kept.tolist(),
            drawn.tolist(),
        ]
    )
    found = {ORDER: hashlib.sha256(text.encode()).hexdigest()[:16]}
    assert found == {1: "43e90c58cb2bbb97"}


def test_epochs_and_seeds_differ_and_a_limit_is_kept():
    plan = EpochPlan((50, 50, 50), seed=1, epoch=0, batch=16)
    assert stream(plan, 1) == stream(replace(plan), 1)
    assert stream(plan, 1) != stream(replace(plan, epoch=1), 1)
    assert stream(plan, 1) != stream(replace(plan, seed=2), 1)
    assert len(set(stream(replace(plan, limit=70), 2))) == 70
    assert stream(replace(plan, shuffle=False), 3)[:2] != [(0, 0), (0, 1)]  # lanes, even so
    natural = EpochPlan((50, 50), seed=1, epoch=0, batch=1, shuffle=False)
    assert stream(natural, 1) == [(u, i) for u in range(2) for i in range(50)]


def test_one_row_group_is_shared_by_eight_ranks():
    plan = EpochPlan((1000,), seed=1, epoch=0, batch=16)
    assert plan.lanes >= LANES and sorted(stream(plan, 8)) == [(0, i) for i in range(1000)]


def test_batches_of_a_plan_with_buckets_are_of_one_bucket_mostly():
    def mixed(plan: EpochPlan) -> float:
        kinds = [
            len({int(lengths(np.array(u), np.array(i))) for u, i in step})
            for step in steps_of(plan, 0, 1)
        ]
        return float(np.mean(kinds))

    plan = EpochPlan((512,) * 16, seed=0, epoch=0, batch=32, pool=2048, buckets=True)
    assert mixed(plan) < 1.2
    assert mixed(replace(plan, buckets=False)) > 3.5  # of 4
    kinds = [lengths(*np.array(step[:1]).T)[0] for step in steps_of(plan, 0, 1)[: plan.window]]
    assert sorted(kinds) != kinds  # not all short ones first


def wrong_seeds(plan: EpochPlan) -> list:
    """Each rank shuffles for itself."""
    ranks = [steps_of(replace(plan, seed=r), r, 2) for r in range(2)]
    return [group for step in zip(*ranks, strict=True) for part in step for group in part]


def wrong_shards(plan: EpochPlan) -> list:
    """Ranks read every other row group, and the shorter one ends the epoch."""
    ranks = []
    for r in range(2):
        sizes = tuple(n if u % 2 == r else 0 for u, n in enumerate(plan.sizes))
        ranks.append(steps_of(replace(plan, sizes=sizes, batch=plan.batch // 2), 0, 1))
    return [group for step in zip(*ranks, strict=False) for part in step for group in part]


def wrong_resume(plan: EpochPlan) -> list:
    """The rest of the epoch is drawn anew."""
    half = plan.steps // 2
    return stream(plan, 2)[: half * plan.batch] + stream(replace(plan, seed=9), 2, start=half)


@pytest.mark.parametrize("wrong", [wrong_seeds, wrong_shards, wrong_resume])
def test_the_tests_above_notice_other_ways_to_share_an_epoch(wrong):
    plan = EpochPlan((50, 40, 30, 20, 10), seed=1, epoch=0, batch=16)
    ids = wrong(plan)
    assert sorted(ids) != [(u, i) for u, n in enumerate(plan.sizes) for i in range(n)]
    assert ids != stream(plan, 1)
