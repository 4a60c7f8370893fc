"""Workers on other hosts, by ssh or whatever else runs a command there.

The words before the command are given: ssh's, or those of `docker exec`, `ip netns exec`, `kubectl
exec`. The command follows as one word for a shell. It is always the same: the holder of
`cluster.starters.held`, to which the worker's command, environment and signals go over stdin.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from cluster.starter import Relay
from cluster.starters.remote import LOST, Beats, Link, RemoteWorker, order
from intent.errors import IntentError, UsageError

HOST = "{host}"
# No questions, a bound for a host that does not answer, and an end where the network is gone.
SSH = (
    "ssh", "-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", HOST,
)  # fmt: skip


class SshStarter:
    """Starts workers on hosts that a remote shell reaches.

    Args:
        shell: the words before the command; `{host}` in them is the host's name. Where they name
            a program that starts another one and no shell, end them with "sh", "-c".
        python: the interpreter there, which can import `cluster`.
        folder: to change to there first.
        slots: workers that share a host's cores, by host; those that are not in it have 1.
        relay: called with (worker, stream, line) as workers write.

    `start` does not wait for the host: what goes wrong there is told by status and tail.
    """

    def __init__(
        self,
        shell: Sequence[str] = SSH,
        python: str = sys.executable,
        folder: str = "",
        slots: Mapping[str, int] | None = None,
        relay: Relay | None = None,
    ) -> None:
        if not any(HOST in word for word in shell):
            raise UsageError(f"the remote shell {shlex.join(shell)!r} lacks the word {HOST}")
        self._shell, self._python, self._folder = tuple(shell), python, folder
        self._slots = Counter(slots or {})
        self._relay = relay
        self._workers: list[_SshWorker] = []
        self._beats: Beats | None = None

    def start(self, host: str, argv: Sequence[str], env: Mapping[str, str]) -> RemoteWorker:
        """Start one; see `cluster.starter.Starter`."""
        words = command(self._shell, host, self._python, self._folder)
        worker = _SshWorker(host, words, self._relay)
        self._workers.append(worker)
        self._beats = self._beats or Beats(self._links)
        worker.link.send(start=order(argv, env, self._python, "", max(self._slots[host], 1)))
        return worker

    def close(self) -> None:
        """End what still runs; a host that cannot be reached ends it by itself."""
        for worker in self._workers:
            worker.signal(signal.SIGKILL)
        if self._beats:
            self._beats.stop()
        for worker in self._workers:
            worker.give_up()

    def _links(self) -> Iterator[Link]:
        return (worker.link for worker in self._workers if worker.link.open)


def command(shell: Sequence[str], host: str, python: str, folder: str) -> list[str]:
    """What is run here to start a holder on `host`. Nothing secret is in it."""
    change = f"cd {shlex.quote(folder)} && " if folder else ""
    line = f"{change}exec {shlex.quote(python)} -u -m cluster.starters.held"
    return [*(word.replace(HOST, host) for word in shell), line]


class _SshWorker(RemoteWorker):
    """The local end: `local` is the remote shell's process, whose errors are part of the tail."""

    def __init__(self, host: str, words: list[str], relay: Relay | None) -> None:
        super().__init__(host, relay)
        self._greeted = False
        try:
            self.local = subprocess.Popen(
                words, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise IntentError(
                f"cannot start a worker on {host}: {words[0]}: {error.strerror}"
            ) from error
        process = self.local
        self._errors = threading.Thread(target=self._read_errors, daemon=True)
        self._errors.start()
        self.link = Link(_taken(process.stdout), _taken(process.stdin), self.hear)
        self.link.listen()

    def hear(self, message: dict) -> None:
        """Also the end of the connection."""
        self._greeted = self._greeted or "hello" in message
        super().hear(message)
        if "status" in message or "failed" in message:
            self.link.close()  # the holder has nothing to hold any more
        if "closed" in message:
            status = self.local.wait()
            self._errors.join(timeout=1)
            if self._greeted:
                self.end(LOST, f"the connection to {self.host} ended")
            else:
                self.end(status or 1, f"{self.host}: no holder was started there")

    def give_up(self) -> None:
        """End the local end too."""
        self.link.close()
        try:
            self.local.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.local.kill()

    def _read_errors(self) -> None:
        for line in self.local.stderr:
            self.hear({"stderr": line.decode(errors="replace")})


def _taken(stream: BinaryIO) -> int:
    """The file descriptor of `stream`, which is closed itself."""
    with stream:
        return os.dup(stream.fileno())
