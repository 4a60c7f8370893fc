"""The coordinator's process: starts the workers, lets them meet, watches, and decides.

It holds no weights: rank 0 does. Workers call home (`cluster.meeting`), `cluster.rules` decides,
and a `Starter` (`cluster.starter`) starts and kills.
"""

from __future__ import annotations

import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster import meeting
from cluster.endings import as_exit_status
from cluster.members import Act, Member, Members, name_of
from cluster.policy import Policy
from cluster.processes import STOP_S, Outcome, signals_noted
from cluster.rendezvous import Rendezvous
from cluster.rules import due
from cluster.starter import Relay, Starter, Worker

LOOK_S = 0.05  # between two looks at the workers
SETTLE_S = 5.0  # after the decision to end: for workers to end by themselves
FINISH_S = 60.0  # after the first worker ended well: for the others
KILL_S = 15.0  # after that: for the killed to be gone
PAUSE_S = 2.0  # that this process did not run, beyond which nobody is blamed for it
DISCOVER_S = 2.0  # between two runs of a host-discovery script
Discover = Callable[[], Mapping[str, int]]


def run(
    start: Callable[[Relay], Starter],
    hosts: Sequence[str],
    argv: Sequence[str],
    env: Mapping[str, str] | Callable[[str, int], Mapping[str, str]],
    policy: Policy,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    discover: Discover | None = None,
) -> Outcome:
    """Run `argv` as one worker for each of `hosts` until training has ended, well or not.

    Args:
        start: makes what starts workers, given the relay that shows what rank 0 writes.
        hosts: one name for each worker; a host with two slots stands there twice.
        env: of every worker, or of the one in a slot of a host, on top of that host's own.
        address: under which workers reach this process.
        port: to listen on; 0 takes a free one.
        token: that workers must know; one that nobody knows by default.
        discover: gives the hosts and their slots as they are now; asked now and then.

    SIGINT and SIGTERM here let all workers end after their step, with a checkpoint; a second one
    kills. The outcome names the worker that was the cause.
    """
    watch = _Supervisor(hosts, argv, env, policy, address, port, token, discover)
    try:
        watch.starter = start(watch.relay)
        with signals_noted() as signals:
            return watch.to_the_end(signals)
    finally:
        watch.close()


class _Supervisor:
    def __init__(
        self,
        hosts: Sequence[str],
        argv: Sequence[str],
        env: Mapping[str, str] | Callable[[str, int], Mapping[str, str]],
        policy: Policy,
        address: str,
        port: int,
        token: str,
        discover: Discover | None,
    ) -> None:
        places = dict(enumerate(hosts))
        began = time.monotonic()
        self.members = Members(policy, places, next_place=len(places), began=began)
        self.argv, self.env, self.address, self.discover = argv, env, address, discover
        self.starter: Starter | None = None
        self.workers: dict[int, Worker] = {}
        self.rendezvous = Rendezvous(address)
        self.given: dict[int, dict[str, str]] = {}  # Horovod's variables of each worker
        self.prepared = -1  # the generation that they are of
        self.news = 0  # of `members.told`, how many were given to the present generation
        self.shown = 0  # and how many were shown
        self.stop = ""
        self.ending: Act | None = None
        self.lock = threading.Lock()
        self.token = token or secrets.token_hex(16)
        self.server = meeting.MeetingServer(self.answer, self.token, port)
        self.looked = 0.0
        self.deadline: float | None = None  # for workers to end by themselves

    # What workers hear.

    def answer(self, what: str, message: dict[str, Any]) -> dict[str, Any]:
        """A message of a worker; called from the server's threads."""
        now = time.monotonic()
        with self.lock:
            members = self.members
            if what == "come":
                return {"worker": members.came(int(message["place"]), now)}
            number = int(message["worker"])
            if what == "end":
                members.end(number, int(message["status"]))
                return {}
            if members.call(number, now) is None or self.ending:
                known = members.workers.get(number)
                why = known.why if known and known.why else "training has ended"
                return {"gone": self.ending.reason if self.ending else why}
            if members.finished:
                return {"done": True}
            if what == "join":
                if self.stop:
                    return {"gone": f"stopped by {self.stop}"}
                return self._join(number, int(message["generation"]), now)
            if what == "beat":
                told = message["updates"], message["waiting_s"], message["moves"]
                members.beat(number, now, *told)
                over = members.over or message["generation"] != members.generation
                return {"over": over, "change": members.change_wanted(), "stop": self.stop}
            if what == "finish":
                members.finished = True
                return {}
            if what == "leave":
                return {} if members.leave(number, now) else {"refused": True}
            return {}

    def _join(self, number: int, generation: int, now: float) -> dict[str, Any]:
        """A place in a generation after the worker's own, once there is one."""
        members = self.members
        member = members.workers[number]
        if member.rank is not None and generation < self.prepared == members.generation:
            told = members.told[: self.news]
            return {"place": {"generation": self.prepared, "env": self.given[number], "told": told}}
        if member.rank is None or generation == members.generation:
            members.join(number, now)
        return {}

    def relay(self, worker: Worker, stream: str, line: str) -> None:
        """Show what the present rank 0 writes."""
        ranks = self.members.ranks
        if ranks and self.workers.get(ranks[0]) is worker:
            print(line, file=getattr(sys, stream), flush=True)

    # What it does.

    def to_the_end(self, signals: list[int]) -> Outcome:
        """Look, decide and act until no worker is left."""
        while True:
            now = time.monotonic()
            self._look(now)
            with self.lock:
                acts = [] if self.ending or self.stop else due(self.members, now)
                self._prepare()
            for act in acts:
                self._do(act, now)
            self._show()
            self._signals(signals, now)
            running = [n for n, m in self.members.workers.items() if m.status is None]
            if not running and (self.members.finished or self.ending or self.stop):
                return self._outcome(signals)
            if self.members.finished and self.deadline is None:
                self.deadline = now + FINISH_S
            if self.deadline is not None and now > self.deadline:
                for number in running:
                    self._kill(number)
                if now > self.deadline + KILL_S:  # they wait for a disk, say, and cannot be killed
                    return self._outcome(signals)
            slept = time.monotonic()
            time.sleep(LOOK_S)
            if (stopped := time.monotonic() - slept) > PAUSE_S:  # by Ctrl-Z, say
                with self.lock:
                    self.members.forgive(stopped)

    def _look(self, now: float) -> None:
        ended = {n: s for n, w in self.workers.items() if (s := w.status()) is not None}
        found = None
        if self.discover is not None and now - self.looked > DISCOVER_S:
            self.looked, found = now, self.discover()
        with self.lock:
            for number, status in ended.items():
                self.members.end(number, status)
            if found is not None:
                self.members.discovered(found)

    def _do(self, act: Act, now: float) -> None:
        if act.what == "kill":
            self._kill(act.number)
        elif act.what == "start":
            self._start(act.number, now)
        else:
            self.ending, self.deadline = act, now + SETTLE_S

    def _kill(self, number: int) -> None:
        if number in self.workers:
            self.workers[number].signal(signal.SIGKILL)
        else:  # nobody here can; it ends when it is told that it does not count any more
            with self.lock:
                self.members.end(number, -signal.SIGKILL)

    def _start(self, place: int, now: float) -> None:
        number, host = len(self.workers), self.members.places[place]
        with self.lock:
            self.members.started(number, place, now)
        call_home = {
            meeting.ADDRESS: f"{self.address}:{self.server.port}",
            meeting.TOKEN: self.token,
            meeting.WORKER: str(number),
        }
        neighbours = [p for p, name in sorted(self.members.places.items()) if name == host]
        env = self.env(host, neighbours.index(place)) if callable(self.env) else self.env
        self.workers[number] = self.starter.start(host, self.argv, {**env, **call_home})

    def _prepare(self) -> None:
        """Let the members of a new generation meet."""
        members = self.members
        if members.generation == self.prepared:
            if members.over:  # who is still in there would wait for who is gone
                self.rendezvous.close()
            return
        given = self.rendezvous.open([members.workers[n].host for n in members.ranks])
        self.given = dict(zip(members.ranks, given, strict=True))
        self.prepared, self.news = members.generation, len(members.told)

    def _show(self) -> None:
        """Say who was lost and who came."""
        with self.lock:
            told, self.shown = self.members.told[self.shown :], len(self.members.told)
        for sentence in told:
            if self.members.policy.elastic:
                print(f"intent: {sentence}", file=sys.stderr, flush=True)

    def _signals(self, signals: list[int], now: float) -> None:
        if signals and not self.stop:
            self.stop = signal.Signals(signals[0]).name
            self.deadline = now + STOP_S
            for number, member in self.members.workers.items():
                if member.rank is None and number in self.workers:  # it has nothing to save
                    self.workers[number].signal(signal.SIGKILL)
        if len(signals) > 1:
            self.deadline = now

    def _outcome(self, signals: list[int]) -> Outcome:
        if signals:
            return Outcome(128 + signals[0], f"stopped by {signal.Signals(signals[0]).name}")
        if self.members.finished:
            first = self.members.workers[self.members.ranks[0]] if self.members.ranks else None
            if first is None:
                return Outcome(1, "the workers ended with status 0 without having met")
            if first.status:  # the model is there, and something went wrong afterwards
                status = as_exit_status(first.status)
                return Outcome(status, f"{name_of(first)} failed at the very end")
            return Outcome(0)
        culprit: Member | None = self.members.workers.get(self.ending.number)
        worker = self.workers.get(self.ending.number)
        if culprit is not None and worker is not None and culprit.rank != 0:
            for line in worker.tail():
                print(f"[{name_of(culprit)}] {line}", file=sys.stderr, flush=True)
        return Outcome(self.ending.status, self.ending.reason)

    def close(self) -> None:
        """End what still runs."""
        if self.starter is not None:
            self.starter.close()
        self.server.close()
        self.rendezvous.close()
