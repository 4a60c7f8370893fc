"""Runs the sample job as a user does, and kills one of its processes at a given moment."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.standalone import descendants, is_python_worker

MARK = "INTENT_FAULT_ROUND"  # in the environment of the job and of all that it starts here
RUN_S = 240
GONE_S = 30  # for what a killed driver started to end by itself
PAUSE_S = 0.05

DRIVER, JAVA, EXECUTOR, PYTHON = "driver", "java", "executor", "python worker"

Find = Callable[[subprocess.Popen], list[psutil.Process]]


@dataclass(frozen=True)
class Mode:
    """A way to run the job.

    Attributes:
        name: for messages.
        command: the command line without --out and the seed.
        folder: where it is run.
        environment: of the job.
        victims: how to find the processes of each kind, once the job runs.
    """

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str]
    victims: dict[str, Find]


@dataclass
class Round:
    """How one run of the job went; `lives` has when each kind of process was there, in seconds."""

    status: int
    seconds: float
    told: str
    killed: str = ""
    leftovers: list[str] = field(default_factory=list)
    lives: dict[str, tuple[float, float]] = field(default_factory=dict)


def run_job(
    mode: Mode, out: Path, seed: int, log: Path, victim: str = "", at: float = 0.0,
    rng: random.Random | None = None,
) -> Round:  # fmt: skip
    """Run the job to its end; SIGKILL a process of the kind `victim` at `at` seconds.

    Where there is none at that moment, it is the next one that comes. Without a victim it is noted
    when each kind of process was there. What a killed driver started must end by itself within
    GONE_S; what does not is in `leftovers`, and is killed.
    """
    mark = os.urandom(8).hex()
    command = [*mode.command, "--out", str(out), "--set", f"samples.seed={seed}"]
    with open(log, "wb") as file:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=mode.folder, env=mode.environment | {MARK: mark},
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    done = Round(0, 0.0, "")
    try:
        while process.poll() is None and time.monotonic() - began < RUN_S:
            now = time.monotonic() - began
            if not victim:
                _note_lives(mode, process, now, done)
            elif not done.killed and now >= at:
                done.killed = _kill_one(mode.victims[victim](process), rng or random.Random(seed))
            time.sleep(PAUSE_S)
        done.seconds = time.monotonic() - began
        done.leftovers = end_marked(mark, GONE_S if victim in (DRIVER, JAVA) else 5)
    finally:
        end_marked(mark, 0)
    done.status = process.wait()
    done.told = log.read_text(errors="replace")[-3000:]
    return done


def end_marked(mark: str, patience: float) -> list[str]:
    """Wait for all processes with this mark to end; kill and return those that do not."""
    end = time.monotonic() + patience
    while (alive := _marked(mark)) and time.monotonic() < end:
        time.sleep(0.2)
    names = []
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            names.append(" ".join(process.cmdline())[-200:])
            process.kill()
    psutil.wait_procs(alive, timeout=10)
    return names


def itself(process: subprocess.Popen) -> list[psutil.Process]:
    """The process that was started."""
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(process.pid)]
    return []


def its_driver(process: subprocess.Popen) -> list[psutil.Process]:
    """The two halves of a driver under spark-submit: Java, which was started, and its Python."""
    below = descendants(process.pid)
    return itself(process) + [p for p in below if _name(p).startswith("python")]


def its_java(process: subprocess.Popen) -> list[psutil.Process]:
    """The Java below it, in which a local driver has its executors."""
    return [p for p in descendants(process.pid) if _name(p) == "java"]


def its_python_workers(process: subprocess.Popen) -> list[psutil.Process]:
    """The Python workers below it."""
    return [p for p in descendants(process.pid) if is_python_worker(p)]


def _kill_one(found: list[psutil.Process], rng: random.Random) -> str:
    for process in rng.sample(found, len(found)):
        with suppress(psutil.NoSuchProcess):
            name = f"{_name(process)} {process.pid}"
            process.kill()
            return name
    return ""


def _note_lives(mode: Mode, process: subprocess.Popen, now: float, done: Round) -> None:
    for kind, find in mode.victims.items():
        if find(process):
            done.lives[kind] = (done.lives.get(kind, (now, now))[0], now)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _name(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return process.name()
    return ""
