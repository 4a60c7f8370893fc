"""The feed when its processes are killed, and when shards change under it: the fast ones.

Those with training, and every number of ranks, are in tests/faults/test_feed_faults.py.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from intent.errors import IntentError
from intent.samples.feed import Batch
from tests.support.feed_job import Job, line_of
from tests.support.feed_ranks import differences, joined, ranks, read_lines, uninterrupted
from tests.support.shard_faults import FAULTS, read_last, small_shards

BOUND_S = 30  # from a fault to the error on every rank


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A job on many small shards, its undisturbed stream, the shard read last and its step."""
    root = tmp_path_factory.mktemp("feed") / "samples"
    small_shards(root)
    job = Job(root=str(root))
    stream = uninterrupted(job)
    return job, stream, *read_last(job.feed(), stream)


def test_the_stream_is_every_group_once(store):
    job, stream, _, step = store
    groups = [tuple(group) for batch in stream.values() for group in batch]
    assert len(groups) == len(set(groups)) == job.feed().manifest.groups
    assert step > 30  # there is time for a fault before the last shard is read


def test_killed_in_mid_epoch_and_resumed_by_another_number_of_ranks(store, tmp_path):
    job, whole, *_ = store
    with ranks(tmp_path / "before", replace(job, pause=0.02), 2) as killed:
        killed.until(lambda: killed.state() is not None and killed.furthest() > len(whole) // 3)
        killed.kill()
    state, before = killed.state(), killed.stream()
    assert 0 < state["step"] <= killed.furthest() < len(whole)
    with ranks(tmp_path / "after", replace(job, state=state), 3) as resumed:
        assert resumed.ended() == [0, 0, 0], resumed.told(0)
    assert differences(joined(before, state, resumed.stream()), whole) == []
    for other in (  # controls: each of these resumes is noticed
        from_there(replace(job, seed=8), state),
        from_there(job, state | {"step": 0}),
        from_there(job, state | {"step": state["step"] + 1}),
    ):
        assert differences(joined(before, state, other), whole)


def from_there(job: Job, state: dict) -> dict:
    """The stream of one process that begins at a position, read here."""
    return read_lines([line_of(b) for b in job.feed().batches(state["epoch"], state["step"])])


def test_a_shard_deleted_under_ranks_that_read_ends_all_that_need_it(store, tmp_path):
    job, whole, victim, _ = store
    own = tmp_path / "samples"
    shutil.copytree(job.root, own)
    with ranks(tmp_path / "logs", replace(job, root=str(own), pause=0.02), 2) as running:
        running.until(lambda: running.furthest() > 3)
        began = time.monotonic()
        FAULTS["deleted"](own, victim, job.feed().manifest)
        statuses = running.ended(BOUND_S)
        assert time.monotonic() - began < BOUND_S
    assert 1 in statuses
    for rank, status in enumerate(statuses):
        if status:
            assert running.told(rank).splitlines() == [
                f"error: shard {own / victim.path} is missing; build the samples again"
            ]
    assert all(groups == whole[where] for where, groups in running.stream().items())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_shard_that_changes_before_its_turn_is_one_clear_error(store, tmp_path, fault):
    """On every rank that needs it, and no rank gives a group that the plan does not."""
    job, whole, victim, _ = store
    own = tmp_path / "samples"
    shutil.copytree(job.root, own)
    feeds = [replace(job, root=str(own), rank=rank, world=2).feed() for rank in range(2)]
    streams = [feed.batches(0) for feed in feeds]
    seen = [[next(stream) for _ in range(4)] for stream in streams]
    FAULTS[fault](own, victim, feeds[0].manifest)
    told = []
    for batches, stream in zip(seen, streams, strict=True):
        try:
            batches += stream
        except IntentError as error:
            told.append(str(error))
    assert told and all(victim.path in text and "\n" not in text for text in told)
    for rank, batches in enumerate(seen):
        assert all(part(whole, batch, rank) == line_of(batch)["groups"] for batch in batches)


def part(whole: dict, batch: Batch, rank: int) -> list:
    """What the undisturbed stream has for a rank of two."""
    groups = whole[batch.epoch, batch.step]
    return groups[:24] if rank == 0 else groups[24:]


def test_control_a_shard_that_does_not_change_is_no_error(store, tmp_path):
    job, whole, victim, _ = store
    own = tmp_path / "samples"
    shutil.copytree(job.root, own)
    stream = replace(job, root=str(own)).feed().batches(0)
    lines = [line_of(next(stream))]
    shutil.copyfile(Path(job.root) / victim.path, own / victim.path)  # the same bytes
    lines += [line_of(batch) for batch in stream]
    assert read_lines(lines) == whole
