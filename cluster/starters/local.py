"""Workers as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from cluster.processes import LAUNCHER, TAIL_LINES
from cluster.starter import Relay


class LocalStarter:
    """Starts processes, whatever the host is called: the names only tell places apart.

    Args:
        own_terminal: the first process writes to this one's stdout and stderr themselves, so that
            its progress bar sees the terminal; what others write is handed to `relay`.
        relay: called with (worker, stream, line) of those.
    """

    def __init__(self, own_terminal: bool = True, relay: Relay | None = None) -> None:
        self._terminal, self._relay = own_terminal, relay
        self._workers: list[LocalWorker] = []

    def start(self, host: str, argv: Sequence[str], env: Mapping[str, str]) -> LocalWorker:
        """Start one; see `cluster.starter.Starter`."""
        first = self._terminal and not self._workers
        self._workers.append(LocalWorker(host, argv, env, first, self._relay))
        return self._workers[-1]

    def close(self) -> None:
        """End what still runs."""
        for worker in self._workers:
            worker.signal(signal.SIGKILL)


class LocalWorker:
    """A process in a session of its own, so that what it starts ends with it."""

    def __init__(
        self,
        host: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        first: bool,
        relay: Relay | None,
    ) -> None:
        self.host = host
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._relay = relay
        self._ended = False
        self._process = subprocess.Popen(
            list(argv),
            env={**os.environ, **env, LAUNCHER: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=None if first else subprocess.PIPE,
            stderr=None if first else subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._readers = []
        for name in () if first else ("stdout", "stderr"):
            reader = threading.Thread(target=self._collect, args=(name,), daemon=True)
            reader.start()
            self._readers.append(reader)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def status(self) -> int | None:
        """As `Popen.poll`; its last words have been read by then, and what it started has ended."""
        status = self._process.poll()
        if status is not None and not self._ended:
            # Once: later its number may be that of other processes.
            self._kill_group(signal.SIGKILL)
            self._ended = True
            for reader in self._readers:
                reader.join(timeout=1)
        return status

    def signal(self, number: int) -> None:
        """To it and to all that it started."""
        if self.status() is None:
            self._kill_group(number)

    def _kill_group(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def tail(self) -> list[str]:
        """Its last lines."""
        return list(self._lines)

    def _collect(self, name: str) -> None:
        for line in getattr(self._process, name):
            self._lines.append(line.rstrip())
            if self._relay is not None:
                self._relay(self, name, line.rstrip())
