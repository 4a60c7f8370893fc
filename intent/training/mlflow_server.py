"""A run as an MLflow tracking server has it: parameters, metrics, tags and files."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import intent
from intent.config import IntentConfig
from intent.storage import write_atomically
from intent.training.run_dir import RunDir

NAME = "mlflow.json"  # in the run folder: which MLflow run it is
MARKS = {"step": "loss", "validation": "groups", "membership": "ranks"}  # in each record of a kind
BATCH = 900  # metrics in a request; the server takes 1000
# One slow server must not hold the last figures for as long as MLflow would wait by itself (7
# tries of 120 s), and standard output is for results. Whoever sets these is obeyed.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Server:
    """The run as the tracking server has it. Every method may raise what MLflow raises."""

    def __init__(self, run: RunDir) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self._run, self._offset = run, 0
        self._client = MlflowClient(tracking_uri=run.config.train.mlflow)
        self.id = self._known() or self._create()
        self._describe()
        self._sent = {kind: self._last(f"{kind}/{mark}") for kind, mark in MARKS.items()}

    def send(self) -> None:
        """The records of metrics.jsonl that are not there yet."""
        from mlflow.entities import Metric

        if not self._run.metrics.exists():
            return
        with self._run.metrics.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        now, batch, size = int(time.time() * 1000), [], 0
        for line in (line for line in lines if line.endswith(b"\n")):
            size += len(line)
            record = json.loads(line)
            if record["step"] > self._sent.get(record["kind"], -1):
                batch += [Metric(n, v, now, record["step"]) for n, v in figures(record)]
            if len(batch) >= BATCH - 50:
                self._put(batch, size)
                batch, size = [], 0
        self._put(batch, size)

    def results(self, values: Mapping[str, float], artifacts: Iterable[Path]) -> None:
        """Figures of the finished run, and files that belong to it."""
        for name, value in values.items():
            self._client.log_metric(self.id, name, value)
        for path in artifacts:
            if path.exists():
                self._client.log_artifact(self.id, str(path))

    def end(self, status: str, artifacts: Iterable[Path]) -> None:
        """Files that belong to the run, and how it ended."""
        self.results({}, artifacts)
        self._client.set_terminated(self.id, status)

    def _put(self, batch: list, size: int) -> None:
        if batch:
            self._client.log_batch(self.id, metrics=batch)
        self._offset += size

    def _known(self) -> str | None:
        """The id of the run that an earlier start made there; None where there is none."""
        from mlflow.exceptions import MlflowException

        try:
            noted = json.loads((self._run.path / NAME).read_text())
        except (OSError, ValueError):
            return None
        options = self._run.config.train
        if (noted["server"], noted["experiment"]) != (options.mlflow, options.mlflow_experiment):
            return None
        try:
            found = self._client.get_run(noted["run"])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None  # somebody deleted it there
            raise
        if found.info.lifecycle_stage != "active":
            return None
        return noted["run"]

    def _create(self) -> str:
        options = self._run.config.train
        experiment = self._client.get_experiment_by_name(options.mlflow_experiment)
        if experiment is None:
            number = self._client.create_experiment(options.mlflow_experiment)
        else:
            number = experiment.experiment_id
        name = self._run.place.rstrip("/").rpartition("/")[2]
        made = self._client.create_run(number, run_name=name).info.run_id
        noted = {"server": options.mlflow, "experiment": options.mlflow_experiment, "run": made}
        write_atomically(self._run.path / NAME, json.dumps(noted, indent=1))
        return made

    def _describe(self) -> None:
        """Parameters and tags. A parameter cannot change there: one that did becomes a tag."""
        from mlflow.entities import Param, RunTag

        there = self._client.get_run(self.id).data.params
        ours = parameters(self._run.config)
        new = [Param(name, value) for name, value in ours.items() if name not in there]
        tags = {f"now.{n}": v for n, v in ours.items() if there.get(n, v) != v}
        tags |= {
            "run": self._run.place,
            "manifest_hash": self._run.manifest_hash,
            "config_hash": self._run.config_hash,
            **code_version(),
        }
        self._client.update_run(self.id, status="RUNNING")
        marks = [RunTag(name, value) for name, value in tags.items()]
        for begin in range(0, max(len(new), 1), 100):  # the server takes so many at once
            self._client.log_batch(self.id, params=new[begin : begin + 100], tags=marks)
            marks = []

    def _last(self, name: str) -> int:
        """The last step that has this metric there; -1 where none has."""
        return max((m.step for m in self._client.get_metric_history(self.id, name)), default=-1)


def figures(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a record of metrics.jsonl, as kind/name."""
    for name, value in record.items():
        if name not in ("kind", "step", "epoch") and isinstance(value, int | float):
            yield f"{record['kind']}/{name}", float(value)


def parameters(config: IntentConfig) -> dict[str, str]:
    """The resolved configuration by dotted names, as text."""
    named = {
        f"{section}.{key}": value
        for section, part in config.model_dump(mode="json").items()
        for key, value in part.items()
    }
    return {n: v if isinstance(v, str) else json.dumps(v) for n, v in named.items()}


def code_version() -> dict[str, str]:
    """The package's version, and the commit where it runs from a checkout."""
    root = Path(intent.__file__).parent.parent
    tags = {"version": intent.__version__}
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            return tags
        if not told.returncode:
            tags["mlflow.source.git.commit"] = told.stdout.strip()
    return tags
