"""Who trains together: what the supervisor knows of its workers, without any input or output.

Workers join, are given a place (rank) in a generation, beat each second and end; `Members` is told
of it with the time, and `cluster.rules` says what is to be done. A generation is a set of workers
that meet once; whoever is lost ends it, and the others meet again in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.endings import CRASHED, TOLD, in_words
from cluster.policy import Policy


@dataclass
class Member:
    """One worker process. Times are of one monotonic clock, in seconds.

    Attributes:
        place: which of the places (host and slot) it holds; a replacement takes it over.
        rank: in the present generation; None outside of it.
        joined: it waits to be given a rank.
        heard: when it last called; None before the first time.
        updates, steps: how far its training is, and how many of them it made in this generation.
        waiting_s: how long it has been waiting for other ranks.
        moves, moved: a number that changes as it works, and when it last did.
        why: how it was lost; empty while it is there.
        status: of its process, once that has ended.
    """

    number: int
    host: str
    place: int
    started: float
    rank: int | None = None
    joined: bool = False
    heard: float | None = None
    updates: int | None = None
    steps: int = 0
    waiting_s: float = 0.0
    moves: int = 0
    moved: float = float("-inf")
    leaving: bool = False
    why: str = ""
    status: int | None = None

    @property
    def here(self) -> bool:
        """Whether it counts."""
        return self.status is None and not self.why


@dataclass(frozen=True)
class Act:
    """What the supervisor is to do: "kill" a worker, "start" one in a place, or "end" all."""

    what: str
    number: int = -1
    status: int = 0
    reason: str = ""


@dataclass
class Members:
    """All workers of a job and the present generation.

    Attributes:
        generation: -1 before the first.
        ranks: numbers of the workers in it, by rank.
        next_place: the number of the next place that is found.
        lost: who left, in that order.
        told: sentences on who left and who came, since the job began.
        over: the present generation has lost somebody.
        over_since: when that was seen.
        finished: training is over, and who is lost from here on is not missed.
        searched: hosts are looked for, so that more may come.
    """

    policy: Policy
    places: dict[int, str]
    workers: dict[int, Member] = field(default_factory=dict)
    generation: int = -1
    ranks: list[int] = field(default_factory=list)
    next_place: int = 0
    lost: list[Member] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    began: float = 0.0
    barren: int = 0
    over: bool = False
    over_since: float | None = None
    finished: bool = False
    searched: bool = False
    fatal: Act | None = None
    failures: dict[int, int] = field(default_factory=dict)
    short_since: float | None = None

    def started(self, number: int, place: int, now: float) -> None:
        """A worker process was started in a place."""
        self.workers[number] = Member(number, self.places[place], place, now)

    def came(self, place: int, now: float) -> int | None:
        """A worker that nobody here started comes to a place: its number; None if there is none."""
        if place not in self.places:
            return None
        for member in self.present():
            if member.place == place:
                self.lose(member, "was started again by whoever starts it")
        # Who comes first is chance; rank 0, which writes and reports, is to be the first place.
        number = place if place not in self.workers else max(*self.workers, self.next_place - 1) + 1
        self.started(number, place, now)
        return number

    def call(self, number: int, now: float) -> Member | None:
        """A worker was heard of. None for one that does not count (any more)."""
        member = self.workers.get(number)
        if member is None or not member.here:
            return None
        member.heard = now
        return member

    def join(self, number: int, now: float) -> None:
        """A worker wants to meet the others."""
        member = self.call(number, now)
        if member is None or member.joined:
            return
        if member.rank is not None:
            self.over = True
        member.joined, member.waiting_s = True, 0.0

    def beat(self, number: int, now: float, updates: int, waiting_s: float, moves: int = 0) -> None:
        """A heartbeat."""
        member = self.call(number, now)
        if member is None:
            return
        if member.rank is not None and member.updates is not None and updates > member.updates:
            member.steps += updates - member.updates
            self.failures.pop(member.place, None)
            self.barren = 0
        if updates >= 0:
            member.updates = updates
        member.waiting_s = waiting_s
        if moves != member.moves:
            member.moves, member.moved = moves, now

    def leave(self, number: int, now: float) -> bool:
        """A worker was asked to end, alone, after its step. False where the others could not go on:
        then all are to stop, with a checkpoint."""
        member = self.call(number, now)
        if member is None or not self.policy.elastic:
            return False
        others = [m for m in self.present() if m.rank is not None and not m.leaving]
        stay = len(others) - (member in others)
        member.leaving = member.leaving or stay >= max(self.policy.least, 1)
        return member.leaving

    def end(self, number: int, status: int) -> None:
        """A worker process has ended with an exit status (negative: by a signal)."""
        member = self.workers[number]
        if member.status is not None:
            return
        member.status = status
        if status == 0 and not member.why:
            self.finished = True
        elif not member.why:
            # Who never called home has told nothing: a remote shell without its host, say.
            if status in TOLD and member.heard is not None:
                reason = f"{name_of(member)} {in_words(status)}"
                self.fatal = self.fatal or Act("end", number, status, reason)
            self.lose(member, in_words(status))
            crashes = sum(m.status == CRASHED for m in self.lost)
            if crashes > self.policy.failures:  # it would come again, after some steps each time
                reason = f"{name_of(member)} {in_words(status)}, and others before it"
                self.fatal = self.fatal or Act("end", number, 1, reason)

    def lose(self, member: Member, why: str) -> None:
        """A worker does not count any more, its process still running or not."""
        member.why = why
        self.lost.append(member)
        self.failures[member.place] = self.failures.get(member.place, 0) + 1
        if member.rank is not None:
            self.over = True
        self.told.append(f"{name_of(member)} {why}")

    def let_go(self, member: Member) -> None:
        """A worker that was asked to leave does; its place stays empty."""
        self.failures[member.place] = self.policy.failures
        self.lose(member, "left, as it was asked to")

    def meet(self, ranked: Sequence[Member]) -> None:
        """These, in the order of their ranks, are the next generation."""
        self.generation += 1
        self.barren += 1
        self.ranks, self.over, self.over_since = [m.number for m in ranked], False, None
        for rank, member in enumerate(ranked):
            if self.generation and member.rank is None:
                self.told.append(f"{name_of(member)} joined")
            member.rank, member.joined, member.steps = rank, False, 0

    def discovered(self, slots: Mapping[str, int]) -> None:
        """The hosts that there are now: new slots become places, lost ones are emptied."""
        self.searched = True
        for host in {*slots, *self.places.values()}:
            mine = [place for place, name in self.places.items() if name == host]
            for place in mine[slots.get(host, 0) :]:
                del self.places[place]
                for member in self.present():
                    member.leaving = member.leaving or member.place == place
            for _ in range(slots.get(host, 0) - len(mine)):
                self.places[self.next_place] = host
                self.next_place += 1

    def forgive(self, seconds: float) -> None:
        """The supervisor itself did not run for so long: nobody was late by that."""
        for member in self.present():
            member.started += seconds
            member.heard = None if member.heard is None else member.heard + seconds
        self.over_since = None if self.over_since is None else self.over_since + seconds
        self.short_since = None if self.short_since is None else self.short_since + seconds

    def change_wanted(self) -> bool:
        """Whether the ranks should meet again as soon as they can: somebody waits, or leaves."""
        if self.over or not self.ranks:
            return False
        return any(m.leaving if m.rank is not None else m.joined for m in self.present())

    def present(self) -> list[Member]:
        """Who counts."""
        return [m for m in self.workers.values() if m.here]


def name_of(member: Member) -> str:
    """Such as "rank 1 (worker 3 on hostb)"."""
    worker = f"worker {member.number} on {member.host}"
    return worker if member.rank is None else f"rank {member.rank} ({worker})"
