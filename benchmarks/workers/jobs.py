"""Jobs that stand side by side and work in turns: the others are stopped meanwhile.

Horovod's background thread asks around every millisecond, and a supervisor hears heartbeats, so a
job that only waits is not quiet. SIGSTOP makes it so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from queue import Empty, Queue

import psutil

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("alone", "horovodrun", "elastic")
START_S = 180.0
LONG = "3600"  # seconds: that a job is stopped is nobody's fault
ENV = {
    "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1",
    "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1",
    "PYTHONHASHSEED": "0", "KERAS_BACKEND": "tensorflow", "HOROVOD_LOG_LEVEL": "fatal",
}  # fmt: skip
PATIENT = {"HOROVOD_GLOO_TIMEOUT_SECONDS": LONG, "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": LONG,
           "HOROVOD_STALL_CHECK_DISABLE": "1"}  # fmt: skip
SLOW = {"start_s": 3600.0, "silence_s": 3600.0, "stall_s": 3600.0, "first_stall_s": 3600.0}


class Job:
    """Some ranks of `benchmarks.workers.rank`, started one of three ways.

    Args:
        kind: "alone", one process without Horovod; "horovodrun", by Horovod's own launcher;
            "elastic", under our supervisor.
        cores: one for each rank; None leaves them unbound.
        rows: groups of each rank in a step, for those who join later.
        free: the ranks train on and on, and the supervisor is as a user has it; else in turns.
        env: on top of what all ranks get.
        options: of the rank.
    """

    def __init__(
        self, kind: str, ranks: int = 1, cores: Sequence[int] | None = None,
        rows: int = 4, free: bool = False, env: Mapping[str, str] | None = None, **options: object,
    ) -> None:  # fmt: skip
        if kind not in KINDS:
            raise ValueError(f"a job is one of {KINDS}, got {kind!r}")
        self.kind, self.ranks = kind, ranks
        self.folder = tempfile.TemporaryDirectory(prefix="scaling-")
        self.run = Path(self.folder.name) / "run"
        self.came: Queue[tuple[dict, Connection]] = Queue()
        self.listener = Listener(str(Path(self.folder.name) / "home"))
        threading.Thread(target=self._accept, daemon=True).start()
        given = {
            "small": False,
            "position_width": 4,
            "groups": 512,
            "ranks": ranks,
            "train": {},
            "cores": cores and list(cores),
            "rows": rows,
            "free": free,
            "folder": str(self.run),
            **options,
        }
        worker = [sys.executable, "-m", "benchmarks.workers.rank", str(self.listener.address),
                  json.dumps(given)]  # fmt: skip
        env = ENV | ({} if free else PATIENT) | dict(env or {})
        if kind == "elastic":
            facts = {"workers": ranks, "env": env, "policy": None if free else SLOW}
            argv = [sys.executable, "-m", "benchmarks.workers.supervise", json.dumps(facts)]
            argv += worker
        elif kind == "horovodrun":
            argv = [sys.executable, "-m", "horovod.runner.launch", "-np", str(ranks), "--gloo",
                    "--network-interfaces", "lo", *worker]  # fmt: skip
        else:
            argv = worker
        self.log = (Path(self.folder.name) / "log").open("w+", errors="replace")
        self.process = subprocess.Popen(
            argv, env=os.environ | env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, start_new_session=True,
        )  # fmt: skip
        self.hellos: list[dict] = []
        self.homes: list[Connection] = []
        self.turn: list[dict] = []

    def wait(self) -> Job:
        """Until all ranks are there, in their order."""
        found = [self.next_rank() for _ in range(self.ranks)]
        found.sort(key=lambda one: one[0]["rank"])
        self.hellos, self.homes = map(list, zip(*found, strict=True))
        return self

    def next_rank(self, patience_s: float = START_S) -> tuple[dict, Connection]:
        """The next rank that calls."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            with suppress(Empty):
                return self.came.get(timeout=0.2)
            if self.process.poll() is not None:
                break
        raise RuntimeError(f"a rank of {self.kind!r} did not come:\n{self.told()}")

    def ask(self, **command: object) -> list[dict]:
        """What every rank answers."""
        self.send(**command)
        return self.answers()

    def send(self, **command: object) -> None:
        """A command to every rank."""
        for home in self.homes:
            home.send(command)

    def answers(self) -> list[dict]:
        """One from every rank; RuntimeError where one has ended."""
        try:
            return [home.recv() for home in self.homes]
        except (EOFError, OSError) as error:
            raise RuntimeError(f"a rank of {self.kind!r} has ended:\n{self.told()}") from error

    def stop(self) -> None:
        """Hold all of its processes."""
        for pid in [h["pid"] for h in self.hellos]:
            os.kill(pid, signal.SIGSTOP)
        if self.kind == "elastic":
            os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let them work: first the supervisor, so that it answers."""
        if self.kind == "elastic":
            os.kill(self.process.pid, signal.SIGCONT)
            time.sleep(0.3)
        for pid in [h["pid"] for h in self.hellos]:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)

    def supervisor_cpu_s(self) -> float:
        """CPU seconds of the supervisor, or of Horovod's launcher, so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def told(self) -> str:
        """The end of what its processes wrote."""
        self.log.flush()
        return Path(self.log.name).read_text(errors="replace")[-3000:]

    def close(self) -> None:
        """End all of its processes."""
        with suppress(Exception):
            self.go_on()
            self.send(do="end")
        with suppress(psutil.Error, subprocess.TimeoutExpired):
            family = psutil.Process(self.process.pid).children(recursive=True)
            if any(home is not None for home in self.homes):
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(5)
            for one in [*family, psutil.Process(self.process.pid)]:
                with suppress(psutil.Error):
                    one.kill()
            self.process.wait(10)
        self.listener.close()
        self.log.close()
        self.folder.cleanup()

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                home = self.listener.accept()
                self.came.put((home.recv(), home))
            except (OSError, EOFError):
                return
