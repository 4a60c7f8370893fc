"""Ends a process that waits too long for others.

Horovod has a stall inspector for this, but on Gloo it never finds a missing rank: its list of ranks
is reserved and never sized (`global_ranks_` in gloo_controller.cc of 0.28.1), so a rank that hangs
in its reader would make all others wait for ever.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from intent.training.comm import PeerLost


class Watchdog:
    """Ends this process with PeerLost's exit status when a `limited` block takes `limit_s`.

    The wait is in native code that no exception can leave, so the process ends without cleaning
    up. Its checkpoints are atomic.
    """

    def __init__(self, rank: int, limit_s: float) -> None:
        self._rank, self._limit = rank, limit_s
        self._since: float | None = None
        threading.Thread(target=self._look, name="watchdog", daemon=True).start()

    @contextmanager
    def limited(self) -> Iterator[None]:
        """A block that may take `limit_s` seconds; in a block within another, the outer counts."""
        outer = self._since
        self._since = time.monotonic() if outer is None else outer
        try:
            yield
        finally:
            self._since = outer

    def waited(self) -> float:
        """Seconds for which the present block has been waiting; 0 outside of one."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def _look(self) -> None:
        while True:
            time.sleep(min(1.0, self._limit / 10))
            since = self._since
            if since is not None and time.monotonic() - since > self._limit:
                print(
                    f"error: rank {self._rank} has waited {self._limit:g} s for the other ranks; "
                    "one of them is stuck",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(PeerLost.exit_status)
