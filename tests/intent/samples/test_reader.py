"""The reader on real files: the plan's stream, resumed, bucketed, thinned; what batches hold."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from intent.errors import IntentError
from intent.samples.feed import ahead
from intent.samples.mixing import users_per_batch
from intent.samples.plan import EpochPlan
from intent.samples.reader import TrackFeed
from intent.samples.rowgroups import read_row_groups
from intent.samples.units import needed_columns, read_unit
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


def logs(users: int = 6) -> dict:
    """Random logs with few purchases, so that most groups are negative."""
    tables = random_logs(users)
    browse = tables["browse"]
    bought = browse["type"] == "purchase"
    rare = np.random.default_rng(1).random(len(browse)) < 0.03
    return tables | {"browse": browse[~bought | rare].reset_index(drop=True)}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    return root, build_samples(root, logs(), row_group=24, length=40)


@pytest.fixture
def feed(samples):
    root, manifest = samples
    return TrackFeed(root, manifest, manifest.schema, batch=32, seed=5, pool=64)


VARIANTS = [{}, {"bucket_lengths": True}, {"negative_rate": 0.4}, {"shuffle": False}, {"limit": 70}]


def ids_of(feed: TrackFeed, epoch: int, start: int = 0) -> list:
    """[(user, t0)] of each step's real rows."""
    return [
        [(u, int(t)) for u, t, w in zip(b.users, b.times, b.weights, strict=True) if w]
        for b in feed.batches(epoch, start)
    ]


def together(ranks: list[list]) -> list:
    """The global stream of several ranks' steps."""
    return [sum(parts, []) for parts in zip(*ranks, strict=True)]


@pytest.mark.parametrize("world", [2, 3, 8])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_id_stream_from_files_is_the_same_for_any_number_of_ranks(samples, feed, variant, world):
    feed = replace(feed, **variant)
    alone = ids_of(feed, 1)
    ranks = [ids_of(replace(feed, rank=r, world=world), 1) for r in range(world)]
    assert {len(r) for r in ranks} == {feed.steps(1)}
    assert together(ranks) == alone
    assert len({g for step in alone for g in step}) == feed.plan(1).groups
    if feed.shuffle:
        assert ids_of(replace(feed, seed=6), 1) != alone  # negative control


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_resume_from_a_state_continues_the_stream_with_other_ranks(feed, variant):
    feed = replace(feed, **variant)
    alone, step = ids_of(feed, 2), 2
    state = json.loads(json.dumps(feed.state(2, step)))
    others = [replace(feed, rank=r, world=3) for r in range(3)]
    assert {other.resume(state) for other in others} == {(2, step)}
    assert together([ids_of(other, *other.resume(state)) for other in others]) == alone[step:]


def test_a_state_of_other_data_or_another_order_is_refused(feed):
    state = feed.state(1, 3)
    for change in ({"seed": 6}, {"batch": 16}, {"pool": 128}, {"negative_rate": 0.5}):
        name, value = next(iter(change.items()))
        with pytest.raises(IntentError, match=f"{name}={getattr(feed, name)}, now it is {value}"):
            replace(feed, **change).resume(state)
    other = replace(feed, manifest=feed.manifest.only(feed.manifest.days[:1]))
    with pytest.raises(IntentError, match="manifest="):
        other.resume(state)
    assert len(json.dumps(state)) < 500


def test_inputs_are_those_of_the_units_and_narrow(samples, feed):
    """The pool against the other way to slice windows, which devices use."""
    root, manifest = samples
    schema = manifest.schema
    expected, where = {}, [(s.path, g) for s in manifest.shards for g in range(len(s.row_groups))]
    for table in read_row_groups(str(root), where, needed_columns(schema)):
        unit = read_unit(table, schema, schema)
        arrays = unit.inputs(np.arange(unit.groups), fusion=True) | {"labels": unit.labels}
        for i, key in enumerate(zip(unit.users, unit.at.tolist(), strict=True)):
            expected[key] = {name: a[i] for name, a in arrays.items()}
    seen = 0
    for batch in replace(feed, fusion=True).batches(0):
        arrays = batch.inputs | {"labels": batch.labels}
        for i in np.flatnonzero(batch.weights):
            group = expected[batch.users[i], int(batch.times[i])]
            assert all(np.array_equal(arrays[n][i], group[n]) for n in group)
            seen += 1
        assert [batch.inputs[n].dtype.str for n in ("swipe", "browse")] == ["|u1", "<u2"]
    assert seen == manifest.groups == len(expected)


def test_fewer_sources_and_tasks_are_read_alone(feed):
    full = next(feed.batches(0))
    tasks = feed.schema.tasks[:1]
    less = replace(feed, schema=replace(feed.schema.keep(["tap", "profile"]), tasks=tasks))
    batch = next(less.batches(0))
    assert sorted(batch.inputs) == ["profile", "tap"] and batch.labels.shape == (32, 1)
    assert np.array_equal(batch.inputs["tap"], full.inputs["tap"])
    only = replace(feed, schema=feed.schema.keep(["history"]), bucket_lengths=True)
    assert sum(b.total for b in only.batches(0)) == feed.manifest.groups


def test_batches_have_one_shape_and_short_ones_are_filled_with_weight_0(samples):
    root, manifest = samples
    feed = TrackFeed(root, manifest, manifest.schema, batch=100, world=3, rank=2)
    batches = list(feed.batches(0))
    assert {b.inputs["swipe"].shape[0] for b in batches} == {34}
    assert sum(b.total for b in batches) == manifest.groups
    # a last batch too short for this rank still has its shape, also right after a resume
    tiny = replace(feed, limit=101)
    for start in (0, 1):
        last = list(tiny.batches(0, start))[-1]
        assert last.step == 1 and last.weights.sum() == 0 and last.total == 1
        assert last.inputs["history"].shape == (34, 18) and not last.inputs["swipe"].any()
    assert sum(b.total for b in replace(feed, batch=2, limit=4).batches(0)) == 4  # more ranks


def test_bucketed_batches_are_short_and_their_groups_whole(feed):
    feed = replace(feed, schema=feed.schema.keep(["browse", "tap"]))
    whole = {}
    for batch in feed.batches(0):
        for i in np.flatnonzero(batch.weights):
            whole[batch.users[i], int(batch.times[i])] = batch.inputs["tap"][i]
    lengths = []
    for batch in replace(feed, bucket_lengths=True, batch=8).batches(0):
        n = batch.inputs["tap"].shape[1]
        assert batch.inputs["browse"].shape[1] == n
        lengths.append(n)
        for i in np.flatnonzero(batch.weights):
            group = whole.pop((batch.users[i], int(batch.times[i])))
            assert np.array_equal(batch.inputs["tap"][i], group[:n]) and not group[n:].any()
    assert not whole and set(lengths) == {16, 32, 40}
    with pytest.raises(IntentError, match="early fusion"):
        replace(feed, bucket_lengths=True, fusion=True)


def test_negatives_are_drawn_anew_each_epoch_and_weighed(feed):
    thin = replace(feed, negative_rate=0.25, weigh_negatives=True)
    epochs, negatives = [], sum(sum(s.negatives) for s in feed.manifest.shards)
    for epoch in range(3):
        batches = list(thin.batches(epoch))
        labels = np.concatenate([b.labels[b.weights > 0] for b in batches])
        weights = np.concatenate([b.weights[b.weights > 0] for b in batches])
        negative = ~labels.any(axis=1)
        assert (~negative).sum() == feed.manifest.groups - negatives
        assert abs(negative.sum() - 0.25 * negatives) <= 1
        assert np.allclose(weights[negative] / weights[~negative].min(), 4)
        assert abs(weights.mean() - 1) < 0.02
        epochs.append({g for step in ids_of(thin, epoch) for g in step})
    assert epochs[0] != epochs[1] != epochs[2] and ids_of(thin, 0) == ids_of(thin, 0)
    assert {b.weights.max() for b in replace(thin, weigh_negatives=False).batches(0)} == {1}
    nothing = replace(feed.manifest.shards[0], row_groups=[9], negatives=[9], groups=9)
    empty = replace(thin, manifest=replace(feed.manifest, shards=[nothing]), negative_rate=1e-9)
    with pytest.raises(IntentError, match="leaves no group in epoch 0"):
        empty.steps(0)


def test_thinning_takes_no_more_memory(tmp_path):
    """A row group takes what its tracks take, however few of its groups an epoch has."""
    manifest = build_samples(tmp_path, logs(users=40), row_group=12)
    feed = TrackFeed(tmp_path, manifest, manifest.schema, batch=1, pool=400)

    def held(plan: EpochPlan) -> int:
        return sum(s.first <= 0 <= s.last for s in plan.stays(0, 1))

    whole, thin = feed.plan(0), replace(feed, negative_rate=0.1).plan(0)
    assert held(thin) <= held(whole) + thin.window and held(whole) < len(whole.sizes) / 3
    assert held(replace(thin, pool=whole.pool)) > 2 * held(whole)  # counted as groups that are left


def test_labels_by_lot_keep_the_rate_and_nothing_else(samples):
    root, manifest = samples
    feed = TrackFeed(root, manifest, manifest.schema, batch=64)

    def labels(feed: TrackFeed) -> np.ndarray:
        return np.concatenate([b.labels[b.weights > 0] for b in feed.batches(0)])

    real, lot = labels(feed), labels(replace(feed, random_labels=True))
    assert abs(lot.mean(axis=0) - real.mean(axis=0)).max() < 0.08 and (lot != real).any()
    ranks = [replace(feed, random_labels=True, rank=r, world=2) for r in (0, 1)]
    assert sum(labels(r).sum() for r in ranks) == lot.sum()  # the same for any number of ranks


def test_batches_mix_users_as_well_as_a_perfect_shuffle(tmp_path):
    manifest = build_samples(tmp_path, random_logs(users=40), per_day=30, row_group=100)
    feed = TrackFeed(tmp_path, manifest, manifest.schema, batch=32, pool=1600)
    assert users_per_batch(feed) > 0.97
    assert users_per_batch(replace(feed, shuffle=False)) < 0.8  # neighbours as on disk


def test_reading_ahead_passes_errors_on_and_stops_when_left():
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
