"""What a job's processes on one machine have in common: how they end, and how they are asked to."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass

LAUNCHER = "INTENT_LAUNCHER_PID"
TAIL_LINES = 40  # of a failed worker's output that are shown
STOP_S = 60.0  # after Ctrl-C or SIGTERM: for a step to end and its checkpoint to be written


@dataclass(frozen=True)
class Outcome:
    """How a job ended: exit status 0 and no reason, or the status and one line of why."""

    status: int
    reason: str = ""


def end_with_launcher() -> None:
    """Called by a worker: get SIGTERM when the launcher dies, be it by SIGKILL (Linux only)."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is None or not sys.platform.startswith("linux"):
        return
    end_with_parent()
    if os.getppid() != int(launcher):  # it died before the line above
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_parent() -> None:
    """Have this process get SIGTERM when its parent dies; nothing where there is no Linux."""
    if sys.platform.startswith("linux"):
        set_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)


@contextmanager
def signals_noted():
    """A list that grows by each SIGINT or SIGTERM during the block (main thread only)."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, lambda number, _: noted.append(number)) for n in numbers}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
