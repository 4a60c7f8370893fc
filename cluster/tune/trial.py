"""A trial of Ray Tune that is a process, or one after another.

A process is an ordinary command in an ordinary run directory. So TensorFlow lives and dies with it,
SIGTERM ends it with a checkpoint, and whoever starts the same command again goes on from there:
when Ray makes a trial anew, nothing needs to be restored.

What it writes goes to a log, which is locked as long as the process lives: two trials never work in
one folder, even when a node or the whole sweep was lost and came again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ray import tune

from cluster.endings import TOLD, in_words
from cluster.launch import THREADS
from cluster.processes import LAUNCHER, STOP_S, end_with_parent
from cluster.tune.work import Work
from intent.errors import IntentError
from intent.sweep.curve import scores_of

LOOK_S = 0.5  # between two looks at the process
NEWS_S = 2.0  # after which a step ends without news: nothing can reach a trial within a step
LOCK_S = STOP_S + 30.0  # for a process that was left over to end
TAIL = 1 << 13  # bytes of the log in which its last words are looked for
GOES_ON = "the same command goes on"  # said by who was asked to stop
FULL = ("disk is full", "No space left")


class Training(tune.Trainable):
    """One `cluster.tune.work.Work`, given as config["work"].

    Results have "epoch" and, once there is one, "score"; the last has "end" ("ended", "failed",
    "full") and "why". A process that was killed raises, and Ray Tune begins the trial again.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Start the first process, once no other has the run."""
        self.work = Work(**config["work"])
        self.epoch, self.score = 0, None
        self.left = list(self.work.commands)
        self.process: subprocess.Popen | None = None
        self._start_next()

    def step(self) -> dict[str, Any]:
        """The next validation, or the end, or after NEWS_S what is known already."""
        if self.process is None:
            full = self.problem.errno in (errno.ENOSPC, errno.EDQUOT)
            return self._result("full" if full else "failed", str(self.problem))
        until = time.monotonic() + NEWS_S
        while True:
            status = self.process.poll()  # before the look at the scores, or the last is missed
            fresh = [s for s in scores_of(self.work.run) if s.epoch > self.epoch]
            if fresh:
                self.epoch, self.score = fresh[0].epoch, fresh[0].value
                return self._result()
            if status is not None:
                return self._ended(status)
            if time.monotonic() > until:
                return self._result()
            time.sleep(LOOK_S)

    def cleanup(self) -> None:
        """Ask the process to stop, with a checkpoint, and wait for that."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def _start_next(self) -> None:
        """Start the next command; `process` is None where that is impossible."""
        path = self.work.output
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _lock(path) as log:  # from here on, the process alone has it
                if len(self.work.commands) > 1:
                    log.write(f"$ python {' '.join(self.left[0])}\n".encode())
                    log.flush()
                self.began = log.tell()
                self.process = _start(self.left.pop(0), self.work, log)
        except OSError as error:
            self.process, self.problem = None, error

    def _ended(self, status: int) -> dict[str, Any]:
        """The last result of a process that has ended; RuntimeError where it is to begin again."""
        if status == 0 and self.left:
            self._start_next()
            return self._result()
        if status == 0:
            return self._result("ended")
        told = _last_words(self.work.output, self.began)
        if any(words in told for words in FULL) or _is_full(Path(self.work.run)):
            return self._result("full", told)
        if status in TOLD and GOES_ON not in told:
            return self._result("failed", told)
        raise RuntimeError(f"the process of {self.work.id} {in_words(status)}: {told}")

    def _result(self, end: str = "", why: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {"epoch": self.epoch, "done": bool(end)}
        if self.score is not None:
            found["score"] = self.score
        return found | ({"end": end, "why": why} if end else {})


def _start(command: Sequence[str], work: Work, log: BinaryIO) -> subprocess.Popen:
    """The process, which writes to `log`, and by that has its lock as long as it lives."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", LAUNCHER: str(os.getpid())}
    env |= dict.fromkeys(THREADS, str(work.cores))
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=work.folder if os.path.isdir(work.folder) else None,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )


def _lock(path: Path) -> BinaryIO:
    """The log of a run, opened to write on, once nobody else has it; IntentError after LOCK_S."""
    log = path.open("ab")
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return log
        except BlockingIOError:
            if time.monotonic() > until:
                log.close()
                told = f"another process writes to {path}: end it"
                raise IntentError(told) from None
        time.sleep(LOOK_S)


def _last_words(path: Path, began: int) -> str:
    """What a process told in its last line, or in the line in which it said what is wrong."""
    try:
        with path.open("rb") as log:
            log.seek(max(began, os.fstat(log.fileno()).st_size - TAIL))
            lines = log.read().decode(errors="replace").split("\n")
    except OSError as error:
        return str(error)
    lines = [line.strip() for line in lines if line.strip()]
    told = [line for line in lines if line.startswith("intent: ")]
    return (told or lines or ["it said nothing"])[-1].removeprefix("intent: ")[:500]


def _is_full(run: Path) -> bool:
    """Whether the disk of a run has no room even for a little file."""
    probe = run / ".room"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(bytes(1 << 14))
            os.fsync(file.fileno())
        return False
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
