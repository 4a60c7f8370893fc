"""From the loss of a worker to the next step of those who are left, and to the replacement's."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from benchmarks.workers.jobs import Job

QUIET_STEPS = 3  # of all ranks between two losses
LIMIT_S = 240.0


class Watched:
    """An elastic job of two workers that trains on and on, and what its workers tell."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.homes: dict[Connection, dict] = {}
        for hello, home in zip(job.hellos, job.homes, strict=True):
            self.homes[home] = hello
        self.by_rank: dict[int, int] = {h["rank"]: h["pid"] for h in job.hellos}

    def until(self, wanted: Callable[[dict, dict], bool], limit_s: float = LIMIT_S) -> dict:
        """The first event for which `wanted(event, hello)` holds; RuntimeError without one."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            while not self.job.came.empty():
                hello, home = self.job.came.get()
                self.homes[home] = hello
            for home in wait(list(self.homes), timeout=0.02):
                try:
                    event = home.recv()
                except (EOFError, OSError):
                    del self.homes[home]
                    continue
                if wanted(event, self.homes[home]):
                    return event
            if self.job.process.poll() is not None:
                break
        raise RuntimeError(f"what was waited for did not happen:\n{self.job.told()}")

    def lose(self, how: int, which: int, rng: random.Random, step_s: float) -> dict:
        """Seconds after a worker got a signal, at a random moment of a step.

        `which` picks the worker, in the order in which they came.
        """
        steps = 0

        def calm(event: dict, _: dict) -> bool:
            nonlocal steps
            steps += event["what"] == "step" and event["world"] == 2
            return steps >= 2 * QUIET_STEPS

        self.until(calm)
        victim = sorted(self.homes.values(), key=lambda h: h["place"])[which]["pid"]
        time.sleep(rng.random() * step_s)
        began = time.monotonic()
        os.kill(victim, how)
        met = self.until(lambda e, h: h["pid"] != victim and e["what"] == "met" and e["at"] > began)
        alone = self.until(lambda e, h: e["what"] == "step" and e["world"] == 1)
        joined = self.until(lambda e, h: e["what"] == "met" and e["world"] == 2)
        both = self.until(lambda e, h: e["what"] == "step" and e["world"] == 2)
        names = ("met_s", "step_s", "joined_s", "both_s")
        times = [e["at"] - began for e in (met, alone, joined, both)]
        return dict(zip(names, times, strict=True)) | {"which": which}


def losses(job: Job, kills: int, freezes: int, say: Callable[[str], None]) -> dict:
    """{"killed": [...], "frozen": [...]}, each with seconds of one loss, see `Watched.lose`.

    And "failed", if training did not go on after one. `job` trains freely. Of every two losses one
    meets the older worker, one the younger.
    """
    rng, watched = random.Random(0), Watched(job)
    found: dict[str, list[dict]] = {"killed": [], "frozen": []}
    for name, how, count in (
        ("killed", signal.SIGKILL, kills),
        ("frozen", signal.SIGSTOP, freezes),
    ):
        for i in range(count):
            try:
                found[name].append(watched.lose(how, i % 2, rng, 0.5))
            except RuntimeError as error:  # a finding, which must not cost the others
                return found | {"failed": [f"{name} {i + 1}: {error}"]}
            say(f"{name} {i + 1}: {found[name][-1]}")
    return found


def recovery(rows: int, kills: int, freezes: int, say: Callable[[str], None]) -> dict:
    """`losses` under the supervisor of `intent train --elastic`, with its default times.

    Workers are bound to no core.
    """
    with Job("elastic", 2, rows=rows, free=True) as job:
        return losses(job.wait(), kills, freezes, say)
