"""A run's figures on an MLflow tracking server (`train.mlflow`), for whoever compares many runs.

`metrics.jsonl` is what a run knows of itself; a thread beside the training copies from there what
the server does not have yet. So a server that is down costs a warning and a later look, never a
step, and nothing is lost by it: what it missed is sent when it is back, be that in a later start.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from intent.config import TrainConfig
from intent.errors import UsageError
from intent.training.mlflow_server import NAME, Server
from intent.training.run_dir import RunDir

log = logging.getLogger(__name__)
EVERY, AGAIN = 5.0, 60.0  # seconds between two looks; after a failure
PATIENCE = 20.0  # seconds that a run waits at its end


def check_package(config: TrainConfig) -> None:
    """UsageError where tracking is asked for and MLflow is not installed."""
    if config.mlflow is not None and importlib.util.find_spec("mlflow") is None:
        raise UsageError(
            f"train.mlflow={config.mlflow} needs MLflow: pip install 'intent[track]', or leave it "
            "away"
        )


def track(run: RunDir) -> Tracking | None:
    """Begin, or go on, to report `run`; None where nobody asked for it. Rank 0 only."""
    check_package(run.config.train)
    return Tracking(run) if run.config.train.mlflow else None


class Tracking:
    """The thread that reports. No method raises, and none waits longer than `PATIENCE`."""

    def __init__(self, run: RunDir, every: float = EVERY, again: float = AGAIN) -> None:
        self._run, self._every, self._again = run, every, again
        self._server: Server | None = None
        self._failing = False
        self._artifacts: list[Path] = []
        self._status = "KILLED"  # unless `finish` is called
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def finish(self, artifacts: Iterable[Path]) -> None:
        """Training came to its end; these files belong to the run. Then call `close`."""
        self._artifacts, self._status = list(artifacts), "FINISHED"

    def close(self) -> None:
        """Send what is left, unless the server is away."""
        self._ending.set()
        self._thread.join(PATIENCE)
        if self._thread.is_alive() or self._failing:
            log.warning(
                "MLflow at %s does not have everything of the run %s; its metrics.jsonl has, and "
                "the next start of this run would send it",
                self._run.config.train.mlflow,
                self._run.place,
            )

    def _work(self) -> None:
        ended = False
        while not ended:
            ended = self._ending.wait(self._again if self._failing else self._every)
            try:
                self._server = self._server or Server(self._run)
                self._server.send()
                if ended:
                    self._server.end(self._status, self._artifacts)
                if self._failing:
                    log.warning("MLflow at %s answers again", self._run.config.train.mlflow)
                self._failing = False
            except Exception as error:  # whatever it is, training goes on
                if not self._failing:
                    told = " ".join(str(error).split())[:300]
                    log.warning(
                        "MLflow at %s does not answer (%s); training goes on, and it is tried "
                        "again every %g s",
                        self._run.config.train.mlflow,
                        told,
                        self._again,
                    )
                self._failing = True


def report_results(run: RunDir, values: Mapping[str, float], artifacts: Iterable[Path]) -> None:
    """Add an evaluation to the run's MLflow run; a warning where that cannot be done."""
    if run.config.train.mlflow is None or not (run.path / NAME).exists():
        return
    try:
        server = Server(run)
        server.results(values, artifacts)
        server.end("FINISHED", [])
    except Exception as error:
        told = " ".join(str(error).split())[:300]
        log.warning("MLflow at %s does not have these results (%s)", run.config.train.mlflow, told)
