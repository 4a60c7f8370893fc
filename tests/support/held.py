"""A worker that tells what it sees and stays, for tests of what starts and holds it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
WORKER = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"])
print(f"secret {os.environ['SECRET']} in {os.getcwd()} with {os.environ['OMP_NUM_THREADS']}")
print(f"child {child.pid}", flush=True)
print("a word on stderr", file=sys.stderr, flush=True)
if sys.argv[1:] == ["stay"]:
    time.sleep(1000)
child.kill()
sys.exit(int(sys.argv[1]))
"""
STAYING = [sys.executable, "-c", WORKER, "stay"]


def ending(status: int) -> list[str]:
    """A worker that says its words and ends with `status`."""
    return [sys.executable, "-c", WORKER, str(status)]


def within(seconds: float, happens: Callable[[], object]) -> bool:
    """Whether it happens in time."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def child_of(tail: list[str]) -> int:
    """The process that the worker started, by its words; 0 before it has told."""
    return next((int(line.split()[1]) for line in tail if line.startswith("child ")), 0)


def alive(pid: int) -> bool:
    """Whether a process runs (or is stopped)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
