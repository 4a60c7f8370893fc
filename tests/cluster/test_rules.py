"""The supervisor's decisions: who is waited for, killed or replaced, and when it is the end."""

from __future__ import annotations

import signal

import pytest

from cluster.rules import due
from tests.support.membership import Job, running


def test_nobody_trains_before_all_have_come():
    job = Job(3)
    job.join(0, 2)
    assert job.members.generation == -1
    job.join(1)
    assert (job.members.generation, job.ranks) == (0, [0, 1, 2])


def test_who_is_slow_to_start_is_not_waited_for_for_ever():
    job = Job(3, failures=1)
    job.silent = {1}
    job.join(0, 2)
    job.tick(101)
    assert job.ranks == [0, 2]
    assert "did not start within 100 s" in job.members.told[0]


def test_who_is_silent_is_killed_and_named():
    job = running()
    job.silent = {2}
    job.tick(9)
    assert not job.killed
    job.tick(2)
    assert job.killed == [2]
    assert "not heard of for 10 s" in job.members.told[0]


def test_who_keeps_the_others_waiting_is_killed():
    job = running()
    job.tick(5, waiting={0: 19, 2: 19})
    assert not job.killed
    job.tick(2, waiting={0: 21, 2: 21})
    assert job.killed == [1]
    assert "was stuck: the others waited 20 s for it" in job.members.told[0]


def test_the_first_step_may_take_longer():
    job = Job(2)
    job.join(0, 1)
    job.tick(5, waiting={0: 59})
    assert not job.killed
    job.tick(5, waiting={0: 61})
    assert job.killed == [1]


def test_nobody_is_stuck_where_all_compute_or_all_wait():
    job = running()
    job.tick(5)
    job.tick(5, waiting={0: 500, 1: 500, 2: 500})
    assert not job.killed


def test_a_place_that_fails_again_and_again_is_given_up():
    job = running(2, failures=3)
    for _ in range(3):
        newest = max(m.number for m in job.members.present() if m.place == 1)
        job.members.end(newest, -signal.SIGSEGV)
        job.tick()
    assert len(job.members.workers) == 4  # two at first, two replacements
    assert job.ended is None


def test_control_a_place_whose_workers_make_steps_is_not_given_up():
    job = running(2, failures=3)
    for _ in range(6):
        newest = max(m.number for m in job.members.present() if m.place == 1)
        job.members.end(newest, -signal.SIGSEGV)
        job.tick()
        everyone = [m.number for m in job.members.present()]
        job.join(*everyone)
        job.step()
        job.step()
    assert len(job.members.workers) == 8


def test_too_few_for_too_long_is_the_end():
    job = running(2, least=2, failures=1)
    job.members.end(1, -signal.SIGKILL)
    job.tick()
    assert job.ended is not None
    assert job.ended.status == 1
    assert "1 workers are there and 2 are needed; rank 1 (worker 1 on host1) was killed" in (
        job.ended.reason
    )


def test_too_few_are_waited_for_while_somebody_may_come():
    job = running(2, least=2)
    job.silent = {2}
    job.members.end(1, -signal.SIGKILL)
    job.tick(29)
    assert job.ended is None
    job.tick(31)
    assert "are needed" in job.ended.reason


def test_a_worker_that_says_what_is_wrong_ends_the_job_with_its_status():
    job = running()
    job.members.end(2, 2)
    job.tick()
    assert (job.ended.number, job.ended.status) == (2, 2)


@pytest.mark.parametrize(("status", "expected"), [(-9, 137), (7, 7), (75, 75)])
def test_without_elasticity_every_loss_is_the_end(status, expected):
    job = running(2, elastic=False, least=2)
    job.members.end(1, status)
    job.tick()
    assert (job.ended.number, job.ended.status) == (1, expected)


def test_the_cause_is_named_and_not_who_failed_for_want_of_it():
    job = running(2, elastic=False, least=2)
    job.members.end(0, 75)
    job.members.end(1, -9)
    job.tick()
    assert job.ended.number == 1


def test_who_works_is_not_stuck_however_long_the_others_wait():
    job = running()
    for second in range(0, 100, 5):
        job.now += 5
        for number in job.ranks:
            job.members.beat(number, job.now, 2, 0.0 if number == 1 else second, second)
        assert not due(job.members, job.now)
    for _ in range(5):  # and then it does not move any more
        job.tick(5, waiting={0: 100, 2: 100})
    assert job.killed == [1]


def test_crashes_that_come_again_and_again_are_the_end():
    job = running(2)
    for _ in range(4):
        assert job.ended is None
        newest = max(m.number for m in job.members.present() if m.place == 1)
        job.members.end(newest, 70)
        job.tick()
        job.join(*[m.number for m in job.members.present()])
        job.step()
        job.step()
    assert "crashed, and others before it" in job.ended.reason


def test_generations_without_a_step_are_the_end():
    job = running(2)
    for _ in range(10):
        if job.ended is None:
            job.join(0, 1)
    assert "without making a step" in job.ended.reason


def test_training_that_has_ended_asks_for_nothing_more():
    job = running(2)
    job.members.end(0, 0)
    job.silent = {1}
    job.tick(500)
    assert job.members.finished
    assert (job.killed, job.ended) == ([], None)


def test_who_does_not_come_to_meet_again_is_killed():
    """Two at once: one dies, another is stuck, and nobody waits in a reduction any more."""
    job = running()
    job.members.end(1, -signal.SIGKILL)
    job.join(0)
    for _ in range(10):
        job.tick(5)
    assert not job.killed  # it may still try to meet who is gone
    job.tick(5)
    assert job.killed == [2]
    assert "was stuck: it did not meet the others within 50 s" in job.members.told[1]
    assert job.ranks == [0]


@pytest.mark.parametrize("elastic", [True, False])
def test_who_beats_and_never_comes_is_not_waited_for_for_ever(elastic):
    job = Job(2, elastic=elastic, least=2, failures=1, join_s=50)
    job.join(0)
    for _ in range(11):
        job.tick(5)
    assert job.killed == [1]
    assert "did not meet the others within 50 s" in job.ended.reason


def test_who_never_called_home_has_not_said_what_is_wrong():
    """A remote shell whose host is gone ends with status 1, too."""
    job = running(2)
    job.members.end(1, -signal.SIGKILL)
    job.silent = {2}
    job.tick()
    job.members.end(2, 1)
    job.tick()
    assert job.ended is None
