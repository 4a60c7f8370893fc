"""Twenty workers are lost at random, in one training; nothing of it is lost or done twice.

RANDOM_KILLS_SEED chooses another course. The table of the last run is in benchmarks/results.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import pytest

from cluster.policy import Policy
from cluster.starters.local import LocalStarter, LocalWorker
from cluster.supervisor import run
from intent.training.logbook import read_metrics
from tests.faults.needs import needs_horovod
from tests.support.elastic import ENV, QUICK, ROOT, Trained, check_stream, prepare, train

pytestmark = [needs_horovod, pytest.mark.nightly]
KILLS, WORKERS, EPOCHS, GROUPS = 20, 3, 40, 320
BOUND_S = 60  # from a kill to the next step
HOW = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP, "asked to leave": signal.SIGTERM}
RESULTS = ROOT / "benchmarks/results"


@dataclass
class Kill:
    """One loss: after which step, which worker, how, and when the next step was made."""

    step: int
    worker: int
    how: str
    seconds: float


def test_twenty_random_losses(tmp_path):
    seed = int(os.environ.get("RANDOM_KILLS_SEED", "0"))
    whole = train(tmp_path / "whole", 1, epochs=EPOCHS, groups=GROUPS)
    folder = tmp_path / "shaken"
    prepare(folder, {}, EPOCHS, GROUPS, pause_s=0.4)
    workers: list[LocalWorker] = []

    class Noting(LocalStarter):
        def start(self, host, argv, env):
            workers.append(super().start(host, argv, env))
            return workers[-1]

    kills: list[Kill] = []
    failed: list[Exception] = []
    shaking = threading.Thread(target=_shake, args=(folder, workers, seed, kills, failed))
    shaking.start()
    outcome = run(
        lambda relay: Noting(own_terminal=False, relay=relay),
        ["localhost"] * WORKERS,
        [sys.executable, "-m", "tests.support.elastic_job", str(folder)],
        ENV,
        Policy(elastic=True, failures=KILLS, **QUICK),  # some are lost before their first step
    )
    shaking.join()
    assert not failed, failed
    assert (outcome.status, outcome.reason) == (0, "")
    assert len(kills) == KILLS
    found = Trained(folder, outcome, 0.0)
    repeated = check_stream(found, EPOCHS, GROUPS)
    assert repeated == found.summary["repeated_groups"]
    assert np.abs(np.subtract(found.losses, whole.losses)).max() < 1e-3  # 800 steps of float32
    assert max(kill.seconds for kill in kills) < BOUND_S
    _write(kills, found, whole, seed, repeated)


def _shake(
    folder: Path, workers: list, seed: int, kills: list[Kill], failed: list[Exception]
) -> None:
    rng = random.Random(seed)
    try:
        while len(kills) < KILLS:
            _wait(lambda: len(_alive(folder, workers)) >= 2)
            time.sleep(rng.uniform(0, 4))
            alive = _alive(folder, workers)
            # Two that leave for good are as many as the rest can spare.
            names = ["killed", "frozen"]
            if sum(kill.how == "asked to leave" for kill in kills) < WORKERS - 2:
                names.append("asked to leave")
            if len(alive) < 2:
                continue
            victim, how = rng.choice(alive), rng.choice(names)
            before, began = _steps(folder), time.monotonic()
            os.killpg(workers[victim].pid, HOW[how])
            _wait(lambda number=victim: workers[number].status() is not None)
            _wait(lambda step=before: _steps(folder) > step + 1)
            kills.append(Kill(before, victim, how, time.monotonic() - began))
    except Exception as error:
        failed.append(error)
    finally:
        (folder / "hurry").write_text("")


def _wait(condition, limit: float = 120.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("nothing happens any more")
        time.sleep(0.02)


def _alive(folder: Path, workers: list[LocalWorker]) -> list[int]:
    """Numbers of the workers that run and train: they have been given groups."""
    there = {n for n, worker in enumerate(workers) if worker.status() is None}
    given = {int(p.stem) for p in (folder / "ids").iterdir() if p.stat().st_size}
    return sorted(there & given)


def _steps(folder: Path) -> int:
    steps: Iterator[int] = (
        r["step"] for r in read_metrics(folder / "run/metrics.jsonl") if r["kind"] == "step"
    )
    return max(steps, default=0)


def _write(kills: list[Kill], found: Trained, whole: Trained, seed: int, repeated: int) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    gap = np.abs(np.subtract(found.losses, whole.losses)).max()
    rows = [f"| {k.step} | {k.worker} | {k.how} | {k.seconds:.1f} |" for k in kills]
    kinds = {how: [k.seconds for k in kills if k.how == how] for how in HOW}
    times = [f"- {how}: {len(s)} times, median {median(s):.1f} s" for how, s in kinds.items() if s]
    text = f"""# {KILLS} workers lost at random in one training

{date.today()}, commit {commit}, {psutil.cpu_count()} cores, `make test-nightly`, seed {seed}.
A small model on data in memory, {WORKERS} workers, {EPOCHS} epochs of {GROUPS} groups
({len(found.losses)} steps), a pause of 0.4 s before each step until the last loss. A frozen worker
is found out by {QUICK["silence_s"]:g} s of silence.

Every group was trained on once in each epoch, but for {repeated} that were in flight and done again
(counted alike by the run and by the test). The losses differ by at most {gap:.1e} from those of one
worker that nobody disturbs. Ranks met {found.summary["met_again"]} times more.

From the loss to the end of the second step after it:

{chr(10).join(times)}

| after step | worker | how it was lost | seconds |
|---|---|---|---|
{chr(10).join(rows)}
"""
    (RESULTS / f"{date.today()}-random_kills.md").write_text(text)
