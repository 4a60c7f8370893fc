"""Who trains together: the decisions of the supervisor, without any input or output.

Workers join, are given a place (rank) in a generation, beat each second and end; `Members` is told
of it with the time, and `tick` says what is to be done. A generation is a set of workers that meet
once; whoever is lost ends it, and the others meet again in the next.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.policy import Policy
from intent.training.comm import PeerLost

CRASHED = 70  # exit status of a worker that an error of the program has ended
TOLD = (1, 2)  # exit statuses of a worker that has said itself what is wrong, for all of them
MEETING_S = 30.0  # that a rank may still try to meet one that is gone: Gloo's patience


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

    # What happens.

    def started(self, number: int, place: int, now: float) -> None:
        """A worker process was started in a place."""
        self.workers[number] = Member(number, self.places[place], place, now)

    def came(self, place: int, now: float) -> int | None:
        """A worker that nobody here started comes to a place: its number; None if there is none."""
        if place not in self.places:
            return None
        for member in self.present():
            if member.place == place:
                self._lose(member, "was started again by whoever starts it")
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
                reason = f"{name_of(member)} {_how(status)}"
                self.fatal = self.fatal or Act("end", number, status, reason)
            self._lose(member, _how(status))
            crashes = sum(m.status == CRASHED for m in self.lost)
            if crashes > self.policy.failures:  # it would come again, after some steps each time
                reason = f"{name_of(member)} {_how(status)}, and others before it"
                self.fatal = self.fatal or Act("end", number, 1, reason)

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

    # What is to be done.

    def tick(self, now: float) -> list[Act]:
        """The actions that are due, each given once."""
        if self.finished:
            return []
        since = now if self.over_since is None else self.over_since
        self.over_since = since if self.over else None
        acts = [*self._silent(now), *self._stuck(now)]
        if self.fatal is not None:
            return [*acts, self.fatal]
        if self.lost and not self.policy.elastic:
            # Who failed for want of another is not the cause.
            lost = min(self.lost, key=lambda m: m.status == PeerLost.exit_status)
            status = lost.status or 1
            status = 128 - status if status < 0 else status
            return [*acts, Act("end", lost.number, status, f"{name_of(lost)} {lost.why}")]
        if self.barren > self.policy.barren:
            reason = f"the workers have met {self.barren} times without making a step"
            return [*acts, Act("end", -1, 1, reason)]
        for member in self.present():
            if member.leaving and member.rank is None:  # its place went before it came
                acts.append(self._kill(member, "is not wanted any more"))
        acts += self._replace(now)
        acts += self._short(now)
        if not any(act.what == "end" for act in acts):
            self._meet(now)
        return acts

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

    def _silent(self, now: float) -> list[Act]:
        acts = []
        for member in self.present():
            if member.heard is None:
                if now - member.started > self.policy.start_s:
                    acts.append(
                        self._kill(member, f"did not start within {self.policy.start_s:g} s")
                    )
            elif now - member.heard > self.policy.silence_s:
                told = f"was not heard of for {self.policy.silence_s:g} s: frozen or out of reach"
                acts.append(self._kill(member, told))
        return acts

    def _stuck(self, now: float) -> list[Act]:
        """Who keeps the others waiting: in a reduction, or to meet."""
        acts = []
        for member in self.present():
            since, limit = member.started, self.policy.join_s
            if member.rank is not None:
                since, limit = self.over_since, self.policy.stall_s + MEETING_S
            if not member.joined and since is not None and now - since > limit:
                told = f"was stuck: it did not meet the others within {limit:g} s"
                acts.append(self._kill(member, told))
        ranked = [m for m in self.present() if m.rank is not None]
        if self.over:
            return acts
        longest = max((m.waiting_s for m in ranked), default=0.0)
        for member in ranked:
            limit = self.policy.stall_s if member.steps else self.policy.first_stall_s
            if member.waiting_s == 0 and min(longest, now - member.moved) > limit:
                told = f"was stuck: the others waited {limit:g} s for it"
                acts.append(self._kill(member, told))
        return acts

    def _replace(self, now: float) -> list[Act]:
        """A worker for each place that has none and is not given up."""
        if self.policy.comes:
            return []
        taken = {m.place for m in self.present()}
        return [Act("start", place) for place in self._able() if place not in taken]

    def _short(self, now: float) -> list[Act]:
        """The end, when there have been too few for too long."""
        heard = [m for m in self.present() if m.heard is not None and not m.leaving]
        if len(heard) >= self.policy.least:
            self.short_since = None
            return []
        taken = {m.place for m in heard}
        hope = self.searched or any(place not in taken for place in self._able())
        limit = self.policy.start_s if self.generation < 0 else self.policy.wait_s
        self.short_since = now if self.short_since is None else self.short_since
        if hope and now - self.short_since <= limit:
            return []
        last = self.lost[-1] if self.lost else None
        reason = f"{len(heard)} workers are there and {self.policy.least} are needed"
        if last is not None:
            reason += f"; {name_of(last)} {last.why}"
        return [Act("end", last.number if last else -1, 1, reason)]

    def _able(self) -> list[int]:
        """The places that are not given up."""
        return [p for p in self.places if self.failures.get(p, 0) < self.policy.failures]

    def _meet(self, now: float) -> None:
        """The next generation, when everybody who counts has come."""
        members = self.present()
        for member in [m for m in members if m.leaving and m.joined]:
            members.remove(member)
            self.failures[member.place] = self.policy.failures  # who was asked to go stays away
            self._lose(member, "left, as it was asked to")
        waiting = [m for m in members if m.joined]
        if len(waiting) < self.policy.least:
            return
        if any(m.rank is not None and not m.joined for m in members):
            return
        if self.generation < 0 and len(waiting) < len(self._able()):
            if now - self.began <= self.policy.start_s:
                return
        waiting.sort(key=lambda m: m.number)
        hosts = list(dict.fromkeys(m.host for m in waiting))
        waiting.sort(key=lambda m: (hosts.index(m.host), m.number))
        self.generation += 1
        self.barren += 1
        self.ranks, self.over, self.over_since = [m.number for m in waiting], False, None
        for rank, member in enumerate(waiting):
            if self.generation and member.rank is None:
                self.told.append(f"{name_of(member)} joined")
            member.rank, member.joined, member.steps = rank, False, 0

    def _kill(self, member: Member, why: str) -> Act:
        self._lose(member, why)
        return Act("kill", member.number)

    def _lose(self, member: Member, why: str) -> None:
        member.why = why
        self.lost.append(member)
        self.failures[member.place] = self.failures.get(member.place, 0) + 1
        if member.rank is not None:
            self.over = True
        self.told.append(f"{name_of(member)} {why}")


def name_of(member: Member) -> str:
    """Such as "rank 1 (worker 3 on hostb)"."""
    worker = f"worker {member.number} on {member.host}"
    return worker if member.rank is None else f"rank {member.rank} ({worker})"


def _how(status: int) -> str:
    if status < 0:
        known = {number.value: number.name for number in signal.Signals}
        return f"was killed by {known.get(-status, f'signal {-status}')}"
    if status == PeerLost.exit_status:
        return "lost the others"
    if status == CRASHED:
        return "crashed"
    return f"ended with exit status {status}"
