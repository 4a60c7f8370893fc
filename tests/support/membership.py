"""A job of workers that exist only as `Members`, with a clock of our own."""

from __future__ import annotations

import signal

from cluster.members import Members
from cluster.policy import Policy
from cluster.rules import due

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
        for act in due(self.members, self.now):
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
