"""Starts the ranks of `feed_job`, kills them, and puts together what they read."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from intent.samples.reader import TrackFeed
from tests.support.feed_job import Job, line_of

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120

Where = tuple[int, int]  # epoch, step
Stream = dict[Where, list]  # the groups of every global batch, in their order


@dataclass
class Ranks:
    """Ranks that run, or have run, and the logs that they write."""

    processes: list[subprocess.Popen]
    logs: list[Path]
    errors: list[Path]

    def lines(self, rank: int) -> list[dict]:
        """What a rank has written; a line that a kill has cut is left out."""
        if not self.logs[rank].exists():
            return []
        text = self.logs[rank].read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def stream(self) -> Stream:
        """The global batches that every rank has read its part of, rank after rank."""
        parts = [read_lines(self.lines(rank)) for rank in range(len(self.logs))]
        common = set(parts[0]).intersection(*parts)
        return {where: sum((part[where] for part in parts), []) for where in sorted(common)}

    def furthest(self) -> int:
        """Batches that the fastest rank has read."""
        return max(len(read_lines(self.lines(rank))) for rank in range(len(self.logs)))

    def state(self) -> dict | None:
        """The newest state that every rank has come to."""
        found = []
        for rank in range(len(self.logs)):
            found.append([line["state"] for line in self.lines(rank) if "state" in line])
        common = [state for state in found[0] if all(state in states for states in found)]
        return common[-1] if common else None

    def until(self, what: Callable[[], bool]) -> None:
        """Wait for something while all of them run."""
        end = time.monotonic() + PATIENCE_S
        while not what():
            ended = [self.told(r) for r, p in enumerate(self.processes) if p.poll() is not None]
            assert not ended and time.monotonic() < end, ended
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL to all of them."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.kill()
        for process in self.processes:
            process.wait()

    def ended(self, patience: float = PATIENCE_S) -> list[int]:
        """Wait for all of them to end; their exit statuses."""
        end = time.monotonic() + patience
        return [process.wait(max(end - time.monotonic(), 0.1)) for process in self.processes]

    def told(self, rank: int) -> str:
        """What a rank wrote to stderr."""
        return self.errors[rank].read_text(errors="replace")


@contextmanager
def ranks(folder: Path, job: Job, world: int) -> Iterator[Ranks]:
    """`world` processes with this job; none is left behind."""
    folder.mkdir()
    started = Ranks([], [], [])
    environment: Mapping[str, str] = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    try:
        for rank in range(world):
            error = folder / f"rank-{rank}.err"
            mine = replace(job, logs=str(folder), rank=rank, world=world)
            started.logs.append(mine.log(rank))
            started.errors.append(error)
            with error.open("wb") as file:
                started.processes.append(subprocess.Popen(
                    mine.command(), env=environment, cwd=ROOT, stdin=subprocess.DEVNULL,
                    stdout=file, stderr=file,
                ))  # fmt: skip
        yield started
    finally:
        started.kill()


def read_lines(lines: list[dict]) -> Stream:
    """The batches among the lines of one rank."""
    return {(line["epoch"], line["step"]): line["groups"] for line in lines if "step" in line}


def uninterrupted(job: Job) -> Stream:
    """The stream of one process that is never disturbed, read here."""
    return stream_of(replace(job, rank=0, world=1).feed(), job.epochs)


def stream_of(feed: TrackFeed, epochs: int = 1) -> Stream:
    """The batches of a feed."""
    return read_lines([line_of(b) for epoch in range(epochs) for b in feed.batches(epoch)])


def joined(before: Stream, state: dict, after: Stream) -> list:
    """(step, its groups), in the order of time: up to the state, then by those who began there."""
    there = (state["epoch"], state["step"])
    return [item for item in before.items() if item[0] < there] + list(after.items())


def differences(found: list, expected: Stream) -> list[str]:
    """Where two lists of (step, its groups) differ; steps lost or repeated are differences."""
    pairs = enumerate(zip_longest(found, expected.items(), fillvalue=("nothing", [])))
    return [f"{n}: {a[0]} for {b[0]}" for n, (a, b) in pairs if a != b]
