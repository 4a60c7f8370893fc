"""The supervisor's decisions, with a clock of our own."""

from __future__ import annotations

import signal

import pytest

from cluster.members import Members
from cluster.policy import Policy

POLICY = Policy(elastic=True, start_s=100, silence_s=10, stall_s=20, first_stall_s=60, wait_s=30)


class Job:
    """Members with a clock; whatever is to be started is started, what is to be killed dies."""

    def __init__(self, workers: int, **policy: object) -> None:
        settings = {**POLICY.__dict__, **policy}
        places = {place: f"host{place}" for place in range(workers)}
        self.members = Members(Policy(**settings), places, next_place=workers)
        self.now, self.ended, self.killed = 0.0, None, []
        self.silent: set[int] = set()
        self.tick()

    def tick(self, seconds: float = 0.0, waiting: dict[int, float] | None = None) -> None:
        """Go on by so many seconds, in which everybody beats who is not silent."""
        self.now += seconds
        for member in self.members.present():
            if member.number not in self.silent:
                updates = -1 if member.updates is None else member.updates
                waited = (waiting or {}).get(member.number, 0.0)
                self.members.beat(member.number, self.now, updates, waited, member.moves)
        for act in self.members.tick(self.now):
            if act.what == "start":
                self.members.started(len(self.members.workers), act.number, self.now)
            elif act.what == "kill":
                self.killed.append(act.number)
                self.members.end(act.number, -signal.SIGKILL)
            else:
                self.ended = act

    def join(self, *numbers: int) -> None:
        for number in numbers:
            self.members.join(number, self.now)
        self.tick()

    def step(self) -> None:
        for number in self.members.ranks:
            member = self.members.workers[number]
            self.members.beat(number, self.now, (member.updates or 0) + 1, 0.0)

    @property
    def ranks(self) -> list[int]:
        return self.members.ranks


def running(workers: int = 3, **policy: object) -> Job:
    job = Job(workers, **policy)
    job.join(*range(workers))
    job.step()
    job.step()
    assert job.ranks == list(range(workers))
    return job


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
    members.tick(0.0)
    assert members.ranks == [0, 2, 1]


def test_the_coordinating_rank_may_be_lost_like_any_other():
    job = running()
    job.members.end(0, -signal.SIGKILL)
    job.tick()
    job.join(1, 2)
    assert job.ranks == [1, 2]


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
        assert not job.members.tick(job.now)
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
    job.members.tick(job.now)
    job.members.end(1, 0)
    assert not job.members.finished


def test_rank_0_is_the_first_place_whoever_comes_first():
    job = Job(3, comes=True)
    numbers = [job.members.came(place, 0.0) for place in (2, 0, 1)]
    job.join(*numbers)
    assert [job.members.workers[number].place for number in job.ranks] == [0, 1, 2]


def test_a_signal_without_a_name():
    job = running(2)
    job.members.end(1, -50)
    assert "was killed by signal 50" in job.members.told[0]
