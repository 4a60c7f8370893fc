"""What the supervisor needs of a place where worker processes run: start them, end them, hear them.

`cluster/starters/` has one for this machine, for other hosts by ssh, for Spark and for Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Worker(Protocol):
    """A worker process that was started. No method blocks for more than a second or two.

    Attributes:
        host: where it runs, as the topology names it.
    """

    host: str

    def status(self) -> int | None:
        """None while it runs; else its exit status, negative for a signal as in `subprocess`.

        A process that cannot be watched any more (its host is out of reach) has status -9.
        """

    def signal(self, number: int) -> None:
        """Send a signal to the process and all that it started; SIGKILL must work on one that is
        stopped. No error if it has ended or cannot be reached."""

    def tail(self) -> list[str]:
        """The last lines that it wrote to stdout and stderr, newest last (none where it has this
        process's own terminal)."""


# Called with (worker, "stdout" or "stderr", line) as a worker writes: the supervisor shows what the
# present rank 0 writes. A starter takes it as an argument and calls it from any thread.
Relay = Callable[[Worker, str, str], None]


class Starter(Protocol):
    """A place where workers run."""

    def start(self, host: str, argv: Sequence[str], env: Mapping[str, str]) -> Worker:
        """Start `argv` on `host` with `env` on top of that host's own environment.

        The process ends with SIGTERM when the supervisor's process dies, however it dies.
        IntentError where it cannot be started, with the reason.
        """

    def close(self) -> None:
        """Give back what the starter holds: end what still runs."""
