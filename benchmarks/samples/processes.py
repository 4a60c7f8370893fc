"""Runs a command in a fresh process and watches its whole process tree: time, CPU, peak memory.

Linux only: it reads /proc.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.1
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36
TOLD = 4000  # characters of stderr that are shown when a command fails


@dataclass(frozen=True)
class Run:
    """What a command took.

    Attributes:
        wall_s: from its start to its end.
        startup_s, job_s: until Spark stood, and from then on, as its own last line tells.
        cpu_s: CPU seconds by role: "driver", "jvm", "workers" (Python); looked up ten times a
            second, so what a process did after the last look is missing.
        worker_peak_mib: the largest resident memory that a Python worker ever had (VmHWM).
        lines: its other lines of JSON on stdout.
    """

    wall_s: float
    startup_s: float
    job_s: float
    cpu_s: dict[str, float]
    worker_peak_mib: float
    lines: list[dict]

    @property
    def all_cpu_s(self) -> float:
        """CPU seconds of the whole tree."""
        return sum(self.cpu_s.values())


def run(command: list[str], env: dict[str, str], timeout_s: float = 3600) -> Run:
    """Run `command`, and whatever it started, to the end.

    Its last line on stdout must be JSON with startup_s and job_s. Orphans (Spark's JVM outlives
    its driver for a moment) become children of this process, so they are waited for too and the
    next run begins on a quiet machine.

    Raises RuntimeError with the end of its stderr if it fails or takes longer than `timeout_s`.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=out, stderr=err)
        seen, status, wall = _Seen(), None, 0.0
        while True:
            try:
                pid, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:  # nobody is left
                break
            if pid == process.pid:
                process.returncode = status = os.waitstatus_to_exitcode(code)
                wall = time.monotonic() - begun
            elif not pid:
                if status is None and time.monotonic() - begun > timeout_s:
                    process.kill()
                seen.look()
                time.sleep(POLL_S)
        out.seek(0)
        err.seek(0)
        lines = [json.loads(line) for line in out.read().splitlines() if line.startswith(b"{")]
        if status or not lines or "job_s" not in lines[-1]:
            told = err.read().decode(errors="replace")[-TOLD:]
            raise RuntimeError(f"{' '.join(command)} ended with status {status}:\n{told}")
    *others, last = lines
    return Run(wall, last["startup_s"], last["job_s"], seen.cpu(), seen.peak_mib(), others)


class _Seen:
    """What was seen of the processes of the tree."""

    def __init__(self) -> None:
        self.ticks: dict[tuple[int, str], tuple[str, int]] = {}  # (id, start time) -> role, ticks
        self.kib: dict[int, int] = {}

    def look(self) -> None:
        """Look once at every descendant of this process."""
        for pid, stat in descendants(os.getpid()):
            key = pid, stat[19]
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                role = _role(words)
                if role == "workers":
                    status = Path(f"/proc/{pid}/status").read_text().splitlines()
                    high = next(line for line in status if line.startswith("VmHWM"))
                    self.kib[pid] = int(high.split()[1])
            except (OSError, StopIteration):  # it ended meanwhile
                words = []
            if not any(words):  # ended, not yet waited for: its times are still there
                role = self.ticks.get(key, ("driver", 0))[0]
            self.ticks[key] = role, int(stat[11]) + int(stat[12])

    def cpu(self) -> dict[str, float]:
        """CPU seconds by role."""
        total: dict[str, float] = defaultdict(float)
        for role, ticks in self.ticks.values():
            total[role] += ticks / TICKS
        return dict(total)

    def peak_mib(self) -> float:
        """MiB of the largest Python worker; 0 without one."""
        return max(self.kib.values(), default=0) / 1024


def _role(words: list[bytes]) -> str:
    """Whose process a command line is."""
    if words[0].endswith(b"java"):
        return "jvm"
    return "workers" if any(word.endswith(b"daemon") for word in words) else "driver"


def descendants(root: int) -> list[tuple[int, list[str]]]:
    """All processes below `root`: the id, and /proc/ID/stat's fields from the state on."""
    stats, children = {}, defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                text = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            stats[int(name)] = text.rpartition(")")[2].split()
            children[int(stats[int(name)][1])].append(int(name))
    found, waiting = [], list(children[root])
    while waiting:
        pid = waiting.pop()
        found.append((pid, stats[pid]))
        waiting += children[pid]
    return found
