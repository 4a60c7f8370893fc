"""Runs `tests.support.elastic_job` under the supervisor, and checks what it leaves."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster.policy import Policy
from cluster.processes import Outcome
from cluster.starters.local import LocalStarter
from cluster.supervisor import run
from intent.training.logbook import read_metrics

ROOT = Path(__file__).parents[2]
ENV = {
    "PYTHONPATH": str(ROOT),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
QUICK = {"silence_s": 12.0}  # a busy machine stops for seconds


@dataclass(frozen=True)
class Trained:
    """What a job left: how it ended, in how many seconds, its summary, curve and weights."""

    folder: Path
    outcome: Outcome
    seconds: float

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "out/summary.json").read_text())

    @property
    def weights(self) -> list[np.ndarray]:
        with np.load(self.folder / "out/weights.npz") as stored:
            return [stored[name] for name in stored.files]

    @property
    def records(self) -> list[dict]:
        return list(read_metrics(self.folder / "run/metrics.jsonl"))

    @property
    def losses(self) -> list[float]:
        return [r["loss"] for r in self.records if r["kind"] == "step"]

    @property
    def fired(self) -> dict[str, str]:
        return {p.name: p.read_text() for p in (self.folder / "fired").iterdir()}

    def ids(self) -> dict[tuple[int, int], dict[int, list[int]]]:
        """(epoch, step) -> generation -> the groups that its ranks were given together."""
        found: dict = defaultdict(lambda: defaultdict(list))
        for path in (self.folder / "ids").iterdir():
            for line in read_metrics(path):
                found[line["epoch"], line["step"]][line["generation"]] += line["ids"]
        return found


def train(
    folder: Path,
    workers: int = 2,
    faults: Mapping[str, Sequence] | None = None,
    epochs: int = 2,
    groups: int = 90,
    pause_s: float = 0.0,
    least: int = 1,
    meeting: tuple[int, int] | None = None,
    **policy: object,
) -> Trained:
    """Train with so many workers on this machine, with a schedule {"epoch:step": [rank, how]}.

    Args:
        meeting: (worker, generation) that is killed while its ranks meet.
    """
    prepare(folder, faults or {}, epochs, groups, pause_s, meeting)
    began = time.monotonic()
    outcome = run(
        lambda relay: LocalStarter(own_terminal=False, relay=relay),
        ["localhost"] * workers,
        [sys.executable, "-m", "tests.support.elastic_job", str(folder)],
        ENV,
        Policy(elastic=True, least=least, **QUICK | policy),
    )
    return Trained(folder, outcome, time.monotonic() - began)


def prepare(
    folder: Path,
    faults: Mapping[str, Sequence],
    epochs: int,
    groups: int,
    pause_s: float = 0.0,
    meeting: tuple[int, int] | None = None,
) -> None:
    """Write what the workers read."""
    for name in ("ids", "fired", "out"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    job = {"epochs": epochs, "groups": groups, "batch": 16, "pause_s": pause_s}
    (folder / "job.json").write_text(json.dumps(job | {"faults": dict(faults), "meeting": meeting}))


def check_stream(trained: Trained, epochs: int, groups: int, batch: int = 16) -> int:
    """Every group once in each epoch, but for steps in flight; how many groups those were.

    Of a step that was given more than once the last time counts; and each time it was given whole
    or not at all by those who were left.
    """
    repeated = 0
    steps = trained.ids()
    for epoch in range(epochs):
        order = np.random.default_rng((7, epoch)).permutation(groups)
        for step in range(-(-groups // batch)):
            times = steps.pop((epoch, step))
            planned = Counter(order[step * batch : (step + 1) * batch].tolist())
            assert Counter(times[max(times)]) == planned, (epoch, step, dict(times))
            repeated += (len(times) - 1) * sum(planned.values())
            for earlier in times.values():  # lost by whoever was lost, never given twice
                assert not Counter(earlier) - planned
    assert not steps
    return repeated
