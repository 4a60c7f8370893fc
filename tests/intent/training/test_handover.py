"""Ranks that meet, and lose one of them at every point of that. Ranks are threads here."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest

from intent.training.checkpoint import Checkpoint, Position
from intent.training.comm import PeerLost
from intent.training.handover import Standing, meet
from intent.training.meter import Meter
from tests.support.thread_ranks import ThreadRank, on_ranks

COLLECTIVES = 7  # of a meeting: who stands where, is all well, the standing, one each variable


class Killed(Exception):
    pass


class Rank:
    """A rank that is lost before its collective number `dies`."""

    def __init__(self, comm: ThreadRank, dies: int | None = None) -> None:
        self._comm, self.rank, self.size = comm, comm.rank, comm.size
        self._dies, self.called = dies, 0

    def gather(self, value):
        if self.called == self._dies:
            raise Killed
        self.called += 1
        try:
            return self._comm.gather(value)
        except threading.BrokenBarrierError as error:
            raise PeerLost("a rank is gone") from error

    def broadcast_object(self, value, root=0):
        return self.gather(value)[root]

    def broadcast(self, variables, root=0):
        for variable in variables:
            variable.assign(self.gather(variable.numpy())[root])


class Process:
    """A rank's state: every number in its variables says after how many updates they are."""

    def __init__(self, updates: int | None) -> None:
        self.standing, self.meter = Standing(), Meter(["task"])
        if updates is not None:
            where = Position(1, updates, updates)
            self.standing = Standing(holds=True, position=where, groups=updates)
        value = -1.0 if updates is None else float(updates)
        self.variables = [keras.Variable(np.full(2, value, np.float32)) for _ in range(4)]

    def meet(self, comm: Rank, begin=lambda standing: None) -> None:
        self.standing = meet(self.standing, self.variables, self.meter, comm, begin)

    @property
    def values(self) -> set[float]:
        return {float(x) for v in self.variables for x in np.array(v.value)}


def lose(processes: list[Process], victim: int, dies: int) -> list[Process]:
    """Let them meet, and lose one of them on the way; those who are left."""

    def work(comm: ThreadRank) -> None:
        rank = Rank(comm, dies if comm.rank == victim else None)
        try:
            processes[comm.rank].meet(rank)
        except PeerLost:
            pass

    with pytest.raises(Killed):
        on_ranks(len(processes), work)
    return [process for number, process in enumerate(processes) if number != victim]


@pytest.mark.parametrize("dies", range(COLLECTIVES))
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_whoever_is_lost_while_ranks_meet_takes_no_state_with_it(victim, dies):
    """One is a step behind, one has made it, one is new."""
    left = lose([Process(5), Process(6), Process(None)], victim, dies)
    on_ranks(2, lambda comm: left[comm.rank].meet(Rank(comm)))
    furthest = 5 if victim == 1 else 6
    assert [process.standing.position.updates for process in left] == [furthest] * 2
    assert [process.values for process in left] == [{furthest}] * 2  # the weights of that step
    assert all(process.standing.holds for process in left)


def test_control_nobody_is_lost():
    processes = [Process(5), Process(6), Process(None)]
    called = on_ranks(3, lambda comm: _counted(processes[comm.rank], Rank(comm)))
    assert called == [COLLECTIVES] * 3
    assert [process.values for process in processes] == [{6.0}] * 3


def test_a_checkpoint_counts_as_written_only_where_it_was_read():
    """Who waited for rank 0 to write it cannot know whether it did."""
    process = Process(6)
    process.standing.saved = process.standing.position
    on_ranks(1, lambda comm: process.meet(Rank(comm)))
    assert process.standing.saved is None

    fresh = Process(None)
    values = [np.full(2, 3.0, np.float32)] * 4
    found = Checkpoint(
        path=None, position=Position(0, 3, 3), manifest_hash="", config_hash="", seed=0, feed={},
        variables=values, names=[v.path for v in fresh.variables], metrics=fresh.meter.state(),
        choice={},
    )  # fmt: skip
    on_ranks(1, lambda comm: fresh.meet(Rank(comm), lambda standing: found))
    assert fresh.standing.saved == fresh.standing.position == Position(0, 3, 3)
    assert fresh.values == {3.0}


def _counted(process: Process, rank: Rank) -> int:
    process.meet(rank)
    return rank.called
