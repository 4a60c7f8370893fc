"""Who trains together, as workers come, leave and are lost."""

from __future__ import annotations

import signal

from cluster.members import Members
from cluster.rules import due
from tests.support.membership import POLICY, Job, running


def test_a_worker_that_dies_ends_the_generation_and_is_replaced():
    job = running()
    job.members.end(1, -signal.SIGKILL)
    job.tick()
    assert job.members.over
    assert job.members.workers[3].place == 1
    assert job.members.generation == 0  # the others have not noticed yet
    job.join(0)
    assert job.members.generation == 0
    job.join(2)
    assert (job.members.generation, job.ranks) == (1, [0, 2])
    assert not job.members.over
    job.join(3)
    assert job.members.change_wanted()
    job.join(0, 2)
    assert (job.members.generation, job.ranks) == (2, [0, 2, 3])
    assert job.members.told == [
        "rank 1 (worker 1 on host1) was killed by SIGKILL",
        "worker 3 on host1 joined",
    ]


def test_the_ranks_of_a_host_are_neighbours():
    members = Members(POLICY, {0: "a", 1: "b", 2: "a"})
    for number in range(3):
        members.started(number, number, 0.0)
        members.join(number, 0.0)
    due(members, 0.0)
    assert members.ranks == [0, 2, 1]


def test_the_coordinating_rank_may_be_lost_like_any_other():
    job = running()
    job.members.end(0, -signal.SIGKILL)
    job.tick()
    job.join(1, 2)
    assert job.ranks == [1, 2]


def test_who_is_asked_to_leave_leaves_between_two_steps():
    job = running()
    job.members.leave(0, job.now)
    assert job.members.change_wanted()
    job.join(0, 1)
    assert job.members.generation == 0
    job.join(2)
    assert job.ranks == [1, 2]
    assert job.members.told == ["rank 0 (worker 0 on host0) left, as it was asked to"]
    assert len(job.members.workers) == 3  # and nobody takes its place


def test_hosts_come_and_go():
    job = running(2)
    job.members.discovered({"host0": 1, "host1": 1, "new": 2})
    job.tick()
    assert [job.members.workers[n].host for n in (2, 3)] == ["new", "new"]
    job.join(2, 3)
    job.join(0, 1)
    assert job.ranks == [0, 1, 2, 3]
    job.members.discovered({"host0": 1, "new": 2})
    assert job.members.change_wanted()
    job.join(*job.ranks)
    assert job.ranks == [0, 2, 3]


def test_workers_that_come_by_themselves():
    job = Job(2, comes=True)
    assert not job.members.workers
    first, second = job.members.came(0, 0.0), job.members.came(1, 0.0)
    assert job.members.came(2, 0.0) is None
    job.join(first, second)
    assert job.ranks == [0, 1]
    again = job.members.came(1, 1.0)  # its pod was started again
    assert "started again" in job.members.told[0]
    job.join(first)
    job.join(again)
    job.join(first)
    assert job.ranks == [first, again]


def test_a_host_that_goes_before_its_worker_came_disturbs_nobody():
    job = running(2)
    job.members.discovered({"host0": 1, "host1": 1, "new": 1})
    job.silent = {2}
    job.tick()
    job.members.discovered({"host0": 1, "host1": 1})
    assert not job.members.change_wanted()
    job.tick()
    assert job.killed == [2]


def test_nobody_may_leave_whom_the_others_need():
    job = running(3, least=2)
    assert job.members.leave(2, job.now)
    assert job.members.leave(2, job.now)
    assert not job.members.leave(1, job.now)  # so that all stop, with a checkpoint
    assert not running(1).members.leave(0, 0.0)


def test_nobody_is_blamed_for_a_pause_of_the_supervisor():
    job = running(2)
    job.silent = {0, 1}
    job.members.forgive(30)
    job.tick(30)
    assert not job.killed
    job.tick(11)
    assert job.killed == [0, 1]


def test_a_lost_worker_that_ends_well_has_not_ended_the_training():
    job = running(2)
    job.silent = {1}
    job.now += 11
    job.members.beat(0, job.now, 2, 0.0)
    due(job.members, job.now)
    job.members.end(1, 0)
    assert not job.members.finished


def test_rank_0_is_the_first_place_whoever_comes_first():
    job = Job(3, comes=True)
    numbers = [job.members.came(place, 0.0) for place in (2, 0, 1)]
    job.join(*numbers)
    assert [job.members.workers[number].place for number in job.ranks] == [0, 1, 2]
