"""Watch over the processes of one job on this machine: all end well, or all end soon."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from intent.training.comm import PeerLost

LAUNCHER = "INTENT_LAUNCHER_PID"
TAIL_LINES = 40  # of a failed rank's output that are shown
SETTLE_S = 8.0  # after a rank died: for the others to notice by themselves
TERM_S = 10.0  # after that: for the others to end on SIGTERM
STOP_S = 60.0  # after Ctrl-C or SIGTERM: for a step to end and its checkpoint to be written


@dataclass(frozen=True)
class Outcome:
    """How a job ended: exit status 0 and no reason, or the status and one line of why."""

    status: int
    reason: str = ""


@dataclass
class _Rank:
    number: int
    process: subprocess.Popen
    tail: deque[str]
    reader: threading.Thread | None = None
    status: int | None = None  # as Popen.returncode
    ended_by_us: bool = False


def run_ranks(argv: Sequence[str], envs: Sequence[Mapping[str, str]]) -> Outcome:
    """Run `argv` once per environment (rank 0 first) and wait until all have ended.

    Rank 0 writes to this process's stdout and stderr. Of another rank, the last lines are shown,
    each with its rank in front, if it was the one that failed. When a rank fails, the others get
    SETTLE_S to notice, TERM_S after a SIGTERM, then SIGKILL, with everything that they started.
    SIGINT and SIGTERM here become SIGTERM for all ranks and STOP_S; a second signal kills.
    """
    ended: queue.Queue[int] = queue.Queue()
    ranks: list[_Rank] = []
    with signals_noted() as signals:
        try:
            for number, env in enumerate(envs):
                ranks.append(_start(number, argv, env, ended))
            _watch(ranks, ended, signals)
        finally:
            _signal_all(ranks, signal.SIGKILL)
    return _outcome(ranks, signals)


def end_with_launcher() -> None:
    """Called by a rank: get SIGTERM when the launcher dies, be it by SIGKILL (Linux only)."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is None or not sys.platform.startswith("linux"):
        return
    set_death_signal = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)
    if os.getppid() != int(launcher):  # it died before the line above
        os.kill(os.getpid(), signal.SIGTERM)


def _start(
    number: int, argv: Sequence[str], env: Mapping[str, str], ended: queue.Queue[int]
) -> _Rank:
    process = subprocess.Popen(
        list(argv),
        env={**env, LAUNCHER: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=None if number == 0 else subprocess.PIPE,
        stderr=None if number == 0 else subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # its own group, so that what it starts ends with it
    )
    rank = _Rank(number, process, deque(maxlen=TAIL_LINES))

    def collect() -> None:
        for line in process.stdout or ():
            rank.tail.append(line.rstrip())

    def wait() -> None:
        rank.status = process.wait()
        ended.put(number)

    rank.reader = threading.Thread(target=collect, daemon=True)
    rank.reader.start()
    threading.Thread(target=wait, daemon=True).start()
    return rank


def _watch(ranks: list[_Rank], ended: queue.Queue[int], signals: list[int]) -> None:
    """Until all have ended. After a failure or a signal, deadlines take over."""
    deadlines: list[tuple[float, int]] = []  # (when, which signal to send), soonest first
    stopping = 0
    while any(rank.status is None for rank in ranks):
        with suppress(queue.Empty):
            ended.get(timeout=0.1)
        now = time.monotonic()
        if len(signals) > stopping:
            stopping = len(signals)
            if stopping == 1:
                _signal_all(ranks, signal.SIGTERM)
                deadlines = [(now + STOP_S, signal.SIGKILL)]
            else:
                deadlines = [(now, signal.SIGKILL)]
        elif not deadlines and any(rank.status for rank in ranks):
            deadlines = [
                (now + SETTLE_S, signal.SIGTERM),
                (now + SETTLE_S + TERM_S, signal.SIGKILL),
            ]
        if deadlines and now >= deadlines[0][0]:
            _signal_all(ranks, deadlines.pop(0)[1])


def _signal_all(ranks: list[_Rank], number: int) -> None:
    """To every rank that still runs and to all that it started."""
    for rank in ranks:
        if rank.status is None:
            rank.ended_by_us = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(rank.process.pid, number)


def _outcome(ranks: list[_Rank], signals: list[int]) -> Outcome:
    if signals:
        name = signal.Signals(signals[0]).name
        return Outcome(128 + signals[0], f"stopped by {name}")
    if not any(rank.status for rank in ranks):
        return Outcome(0)
    # Those who failed by themselves, but not for want of another; else those who had to be ended,
    # which kept the others waiting; else those who lost someone that ended well. Of these the
    # lowest: rank 0 has already said what is wrong, and where all fail alike that is enough.
    alone = [r for r in ranks if r.status and not r.ended_by_us]
    causes = [r for r in alone if r.status != PeerLost.exit_status]
    stuck = [r for r in ranks if r.status and r.ended_by_us]
    culprit = (causes or stuck or alone)[0]
    if culprit.number != 0:
        if culprit.reader:
            culprit.reader.join(timeout=1)  # its last words may still be in the pipe
        for line in culprit.tail:
            print(f"[rank {culprit.number}] {line}", file=sys.stderr, flush=True)
    return Outcome(*_verdict(culprit, len(ranks), stuck=not causes and bool(stuck)))


def _verdict(culprit: _Rank, ranks: int, stuck: bool) -> tuple[int, str]:
    which = f"rank {culprit.number} of {ranks}"
    if stuck:
        return 1, f"{which} was stuck and kept the others waiting; all were ended"
    if culprit.status < 0:
        name = signal.Signals(-culprit.status).name
        return 128 - culprit.status, f"{which} was killed by {name}; the others were ended"
    if culprit.status == PeerLost.exit_status:
        return 1, f"{which} lost the others, which had ended before it"
    return culprit.status, f"{which} ended with exit status {culprit.status}"


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
