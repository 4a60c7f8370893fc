"""Starts `feed_training` on several ranks, as a user does, and looks at how it went."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.feed_ranks import Stream, read_lines
from tests.support.feed_training import LOG, MODULE, PAUSE

ROOT = Path(__file__).parents[2]
START_S = 180
SMALL = {
    "train.learning_rate": "0.003", "train.keep_checkpoints": "9", "model.hidden": "3",
    "model.action_width": "4", "model.context_width": "4", "model.branch_units": "[4]",
}  # fmt: skip


@dataclass
class Training:
    """A training that runs, or has run.

    Attributes:
        launcher: the process of `intent train`.
        folder: the logs of its ranks.
        world: its ranks.
    """

    launcher: subprocess.Popen
    folder: Path
    world: int

    def lines(self, rank: int) -> list[dict]:
        """What a rank has written; a line that a kill has cut is left out."""
        path = self.folder / f"rank-{rank}.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def stream(self) -> Stream:
        """The global batches that every rank was given its part of, rank after rank."""
        parts = [read_lines(self.lines(rank)) for rank in range(self.world)]
        common = set(parts[0]).intersection(*parts)
        return {where: sum((part[where] for part in parts), []) for where in sorted(common)}

    def pid(self, rank: int) -> int:
        """The process id of a rank."""
        return self.lines(rank)[0]["pid"]

    def errors(self) -> dict[int, dict]:
        """The error that ended each rank which said so."""
        ends = {rank: self.lines(rank)[-1:] for rank in range(self.world)}
        return {rank: end[0] for rank, end in ends.items() if end and "error" in end[0]}

    def until(self, what: Callable[[], bool]) -> None:
        """Wait for something while it runs."""
        end = time.monotonic() + START_S
        while not what():
            assert self.launcher.poll() is None, self.told()
            assert time.monotonic() < end, self.told()
            time.sleep(0.02)

    def ended(self, patience: float) -> int:
        """Wait for the launcher; its exit status."""
        return self.launcher.wait(patience)

    def told(self) -> str:
        """What the launcher and rank 0 wrote to stderr, and the last lines of who failed."""
        return (self.folder / "stderr").read_text(errors="replace")

    def gone(self, patience: float) -> bool:
        """Whether no process of it is left, after some time."""
        end = time.monotonic() + patience
        while (left := self.left()) and time.monotonic() < end:
            time.sleep(0.1)
        return not left

    def left(self) -> list[psutil.Process]:
        """Its processes that run."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                mine = process.environ().get(LOG) == str(self.folder)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


@contextmanager
def training(
    folder: Path, samples: Path, run: Path, world: int, sets: Sequence[str] = (),
    pause: float = 0.0, environment: dict[str, str] | None = None,
) -> Iterator[Training]:  # fmt: skip
    """`intent train --np world` of a tiny model; nothing of it is left behind."""
    folder.mkdir()
    command = [sys.executable, "-m", MODULE, "--samples", str(samples), "--run", str(run)]
    command += ["--np", str(world)]
    for item in [*(f"{k}={v}" for k, v in SMALL.items()), *sets]:
        command += ["--set", item]
    variables = {
        "PYTHONPATH": str(ROOT), LOG: str(folder), PAUSE: str(pause), "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip
    with (folder / "stderr").open("wb") as file:
        launcher = subprocess.Popen(
            command, env=os.environ | variables | (environment or {}), cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    started = Training(launcher, folder, world)
    try:
        yield started
    finally:
        for process in started.left():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        launcher.wait()
