"""Workers in places that somebody else gives: a Spark task, a Ray actor.

Each place runs an agent (`agent`, below), which connects to this process and holds a worker there
as `cluster.starters.held` does at the end of a remote shell. When the place is lost and given anew
elsewhere, a new agent calls: a slot more, on which a worker can be started.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cluster.starter import Relay
from cluster.starters.remote import LOST, SILENCE_S, Beats, Link, RemoteWorker, order
from intent.errors import IntentError

GREETING_S = 10.0  # for a caller to say who it is
LARGEST = 1 << 16  # bytes of that
FREE_S = 30.0  # for a slot to become free, or to be given anew
ABSENT_S = 60.0  # that an agent looks for a starter which it has lost


class AgentStarter:
    """Starts workers where agents have called from.

    Args:
        address: of this process, by which agents reach it.
        relay: called with (worker, stream, line) as workers write; may be set later.

    Attributes:
        call: (address, port, token), which an agent needs.
        called: whether an agent ever has.
        closed: whether `close` was called.
        relay: as given.
    """

    def __init__(self, address: str, relay: Relay | None = None) -> None:
        self.relay = relay
        self._token = secrets.token_hex(16)
        self._places: list[_Place] = []
        self._workers: list[_Waiting] = []
        self._lock = threading.Lock()
        self._server = _listen(address)
        self.call: tuple[str, int, str] = (address, self._server.getsockname()[1], self._token)
        self.called = self.closed = False
        threading.Thread(target=self._accept, name="agents", daemon=True).start()
        self._beats = Beats(self._links)

    def discover(self) -> dict[str, int]:
        """The slots that there are now, by host: one for each agent that is connected."""
        with self._lock:
            return dict(Counter(place.host for place in self._places if place.here()))

    def await_agents(self, count: int, seconds: float, failed: Callable[[], str]) -> None:
        """Wait until `count` agents have called.

        Raises IntentError with what `failed` tells, or when the time is over.
        """
        end = time.monotonic() + seconds
        while (there := sum(self.discover().values())) < count:
            if why := failed():
                raise IntentError(why)
            if time.monotonic() > end:
                raise IntentError(
                    f"there was room for {there} of {count} workers within {seconds:g} s: ask for "
                    "fewer workers, or give the cluster more cores"
                )
            time.sleep(0.05)

    def start(self, host: str, argv: Sequence[str], env: Mapping[str, str]) -> RemoteWorker:
        """Start one as soon as a slot on `host` is free; see `cluster.starter.Starter`."""
        worker = _Waiting(host, self.relay, argv, env)
        with self._lock:
            self._workers.append(worker)
        self._assign()
        return worker

    def _assign(self) -> None:
        """Give free places to workers that wait for one."""
        with self._lock:
            for worker in self._workers:
                if worker.link is None and worker.status() is None:
                    mine = [p for p in self._places if p.host == worker.host and p.here()]
                    free = [place for place in mine if not place.busy()]
                    if free:
                        free[0].give(worker, len(mine))

    def close(self) -> None:
        """End what still runs, and let the agents go."""
        self.closed = True
        for worker in self._workers:
            worker.signal(signal.SIGKILL)
        self._beats.stop()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # or `accept` would go on
        self._server.close()
        with self._lock:
            for place in self._places:
                place.link.close()

    def _links(self) -> Iterator[Link]:
        with self._lock:
            return iter([place.link for place in self._places if place.link.open])

    def _accept(self) -> None:
        while not self.closed:
            try:
                caller, _ = self._server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._greet, args=(caller,), daemon=True).start()

    def _greet(self, caller: socket.socket) -> None:
        """A caller becomes a place if it knows the token."""
        try:
            caller.settimeout(GREETING_S)
            with caller.makefile("rb", buffering=0) as stream:
                greeting: dict[str, Any] = json.loads(stream.readline(LARGEST))
            if not hmac.compare_digest(greeting["token"].encode(), self._token.encode()):
                raise ValueError("a wrong token")
            place = _Place(caller, greeting, self._assign)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            caller.close()
            return
        with self._lock:
            if not self.closed:
                self.called = True
                self._places.append(place)
                place.link.listen()
        self._assign()


class _Waiting(RemoteWorker):
    """A worker that may have to wait for a place."""

    def __init__(
        self, host: str, relay: Relay | None, argv: Sequence[str], env: Mapping[str, str]
    ) -> None:
        super().__init__(host, relay)
        self.argv, self.env, self._until = argv, env, time.monotonic() + FREE_S

    def status(self) -> int | None:
        """Its exit status; also the end of waiting."""
        if self.link is None and time.monotonic() > self._until:
            self.end(1, f"no slot on {self.host} became free within {FREE_S:g} s")
        return super().status()

    def signal(self, number: int) -> None:
        """Without a place there is nothing to signal, but it will not start any more."""
        if self.link is None and number in (signal.SIGKILL, signal.SIGTERM):
            self.end(-number, "it was not started yet")
        super().signal(number)


class _Place:
    """An agent's connection, and the worker that it holds."""

    def __init__(
        self, caller: socket.socket, greeting: Mapping[str, Any], freed: Callable[[], None]
    ) -> None:
        self.host: str = greeting["host"]
        self._python, self._folder = str(greeting["python"]), str(greeting["folder"])
        self._env: dict[str, str] = dict(greeting["env"])
        self._worker: RemoteWorker | None = None
        self._freed = freed
        caller.setblocking(False)
        read, write = os.dup(caller.fileno()), os.dup(caller.fileno())
        self.link = Link(read, write, self._hear, lambda: _shut(caller))

    def here(self) -> bool:
        """Whether it can be given work."""
        return self.link.open and time.monotonic() - self.link.heard < SILENCE_S

    def busy(self) -> bool:
        """Whether a worker runs there."""
        return self._worker is not None and self._worker.status() is None

    def give(self, worker: _Waiting, slots: int) -> None:
        """Start `worker` here; `slots` places share the host's cores."""
        self._worker, worker.link = worker, self.link
        env = {**self._env, **worker.env}
        self.link.send(start=order(worker.argv, env, self._python, self._folder, slots))

    def _hear(self, message: dict[str, Any]) -> None:
        worker = self._worker
        if worker is None:
            return
        if "closed" in message:
            worker.end(LOST, f"the connection to {self.host} ended")
        else:
            worker.hear(message)
            if worker.status() is not None:
                self._freed()


def agent(call: tuple[str, int, str], host: str, folder: str, env: Mapping[str, str]) -> None:
    """Run in a place: call the starter and hold workers for it until it lets go.

    Args:
        call: `AgentStarter.call`.
        host: what this place's host is called.
        folder: to run workers in.
        env: of workers here, on top of this process's own.

    Raises OSError where the starter cannot be reached at first.
    """
    from cluster.starters.held import hold

    address, port, token = call
    greeting = {"token": token, "host": host, "python": sys.executable, "folder": folder}
    known = False
    lost = time.monotonic()
    while not known or time.monotonic() - lost < ABSENT_S:
        try:
            connection = socket.create_connection((address, port), timeout=GREETING_S)
        except OSError as error:
            if not known:
                raise
            if isinstance(error, ConnectionRefusedError):  # it has ended
                return
            time.sleep(1)
            continue
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(json.dumps({**greeting, "env": dict(env)}).encode() + b"\n")
            known = True
            hold(connection.fileno(), connection.fileno(), host)
        lost = time.monotonic()
        time.sleep(0.5)  # it may be about to end


def _shut(caller: socket.socket) -> None:
    try:
        caller.shutdown(socket.SHUT_RDWR)
    finally:
        caller.close()


def _listen(address: str) -> socket.socket:
    """On `address` alone; on all of this machine's where it is another's, which leads here."""
    try:
        family, *_, place = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place, family=family)
    except OSError:
        return socket.create_server(("", 0))
