"""Workers at the other end of a connection: the supervisor's side of `cluster.starters.held`."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cluster.processes import TAIL_LINES
from cluster.starter import Relay
from cluster.starters.held import BEAT_S

SILENCE_S = 15.0  # of a holder, after which its host counts as out of reach
KILLED_SILENCE_S = 5.0  # of one that was told to kill its worker
SEND_S = 1.0  # for a holder to take a message
LOST = -9  # status of a worker that cannot be watched any more


class Link:
    """A connection to a holder. A thread reads it; beats keep it alive.

    Args:
        read, write: file descriptors, not the same one; closed with the link.
        hear: called with each message, and with {"closed": True} at the end.
        shut: what else is to be done to end the connection, for a socket.
    """

    def __init__(
        self,
        read: int,
        write: int,
        hear: Callable[[dict[str, Any]], None],
        shut: Callable[[], None] = lambda: None,
    ) -> None:
        os.set_blocking(write, False)
        self._read, self._write, self._hear, self._shut = read, write, hear, shut
        self._lock = threading.Lock()
        self.heard = time.monotonic()
        self.open = True

    def listen(self) -> None:
        """Start the thread that reads."""
        threading.Thread(target=self._listen, name="held", daemon=True).start()

    def send(self, **message: object) -> bool:
        """Whether the holder's end has taken it; a link that takes nothing for SEND_S is closed."""
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            limit = time.monotonic() + SEND_S
            while data and self.open:
                wait = limit - time.monotonic()
                if wait <= 0 or not _ready(self._write, select.POLLOUT, wait):
                    self._close()
                    break
                try:
                    data = data[os.write(self._write, data) :]
                except BlockingIOError:
                    continue
                except OSError:
                    self._close()
            return self.open

    def close(self) -> None:
        """End it; what the holder holds ends too."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self.open:
            self.open = False
            with suppress(OSError):
                self._shut()
            os.close(self._write)

    def _listen(self) -> None:
        rest = b""
        while data := _received(self._read):
            self.heard = time.monotonic()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                with suppress(ValueError):  # a shell's greeting is no message
                    message = json.loads(line)
                    if isinstance(message, dict) and message:
                        self._hear(message)
        os.close(self._read)
        self.close()
        self._hear({"closed": True})


class RemoteWorker:
    """A worker that a holder holds; see `cluster.starter.Worker`."""

    def __init__(self, host: str, relay: Relay | None) -> None:
        self.host = host
        self.pid: int | None = None
        self.link: Link | None = None
        self.started = threading.Event()  # or failed to
        self._relay = relay
        self._status: int | None = None
        self._killed: float | None = None
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._rest = {"stdout": "", "stderr": ""}

    def status(self) -> int | None:
        """Its exit status; LOST where its holder is silent."""
        if self._status is None and self.link is not None and self.pid is not None:
            limit = SILENCE_S if self._killed is None else KILLED_SILENCE_S
            since = max(self.link.heard, self._killed or 0.0)
            if time.monotonic() - since > limit:
                self.link.close()
                self.end(LOST, f"{self.host} has not been heard for {limit:g} s")
        return self._status

    def signal(self, number: int) -> None:
        """To it and to all that it started."""
        if self._status is None and self.link is not None:
            if number == signal.SIGKILL and self._killed is None:
                self._killed = time.monotonic()
            self.link.send(signal=int(number))

    def tail(self) -> list[str]:
        """Its last lines."""
        return list(self._lines)

    def hear(self, message: dict[str, Any]) -> None:
        """What its holder tells."""
        for name in ("stdout", "stderr"):
            if name in message:
                self._text(name, message[name])
        if "pid" in message:
            self.pid = message["pid"]
            self.started.set()
        elif "status" in message:
            self.end(message["status"])
        elif "failed" in message:
            self.end(1, f"{self.host}: cannot start a worker: {message['failed']}")

    def end(self, status: int, why: str = "") -> None:
        """It has ended; only the first of several ends counts."""
        if self._status is not None:
            return
        for name, rest in self._rest.items():
            if rest:
                self._line(name, rest)
        if why:
            self._line("stderr", why)
        self._status = status
        self.started.set()

    def _text(self, name: str, text: str) -> None:
        *lines, self._rest[name] = (self._rest[name] + text).split("\n")
        for line in lines:
            self._line(name, line.rstrip("\r"))

    def _line(self, name: str, line: str) -> None:
        self._lines.append(line)
        if self._relay is not None:
            self._relay(self, name, line)


class Beats:
    """A thread that sends a beat on all links, so that holders know that this process lives."""

    def __init__(self, links: Callable[[], Iterator[Link]]) -> None:
        self._links, self._over = links, threading.Event()
        threading.Thread(target=self._beat, name="beats", daemon=True).start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            for link in list(self._links()):
                link.send()

    def stop(self) -> None:
        """Send no more."""
        self._over.set()


def order(
    argv: Sequence[str], env: Mapping[str, str], python: str, folder: str = "", slots: int = 1
) -> dict[str, Any]:
    """What a holder is told to start.

    Args:
        argv: a first word that is this process's interpreter means `python`, the host's own.
        folder: to run in; "" for where the holder is.
        slots: of the host, which share its cores (as far as `env` does not say how many threads).
    """
    words = list(argv)
    if words and words[0] == sys.executable:
        words[0] = python
    return {"argv": words, "env": dict(env), "folder": folder, "slots": slots}


def _received(read: int) -> bytes:
    """What has come, waiting for it; b"" at the end."""
    while True:
        _ready(read, select.POLLIN)
        try:
            return os.read(read, 1 << 16)
        except BlockingIOError:  # a socket does not block for one direction alone
            continue
        except OSError:
            return b""


def _ready(file: int, event: int, seconds: float | None = None) -> bool:
    """Wait for one file descriptor; not with `select`, which knows only the first 1,024."""
    poll = select.poll()
    poll.register(file, event)
    return bool(poll.poll(None if seconds is None else max(1, round(1000 * seconds))))
