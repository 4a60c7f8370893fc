"""Starts `intent sweep` over tiny runs, as a user does, and looks at what is left of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from intent.simulate.shop import simulate
from tests.support.commands import Done, intent

ROOT = Path(__file__).parents[2]
SPACE = "train.learning_rate: {loguniform: [1e-4, 1e-2]}\nmodel.hidden: {choice: [3, 4]}\n"
SETTINGS = [
    "train.batch_size=16", "train.max_groups=64", "model.branch_units=[4]",
    "model.action_width=4", "model.context_width=4",
]  # fmt: skip
ENV = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "RAY_DEDUP_LOGS": "0"}


def shop(folder: Path) -> Path:
    """Samples of a small simulated shop: six days, of which one is held out."""
    simulate(folder / "logs", users=40, days=6, seed=1, rate=0.2)
    sets = ["--set", "samples.length=16", "--set", "samples.cuts_per_day=4"]
    done = intent("samples", "--logs", folder / "logs", "--out", folder / "samples", *sets)
    assert done.status == 0, done.err
    return folder / "samples"


@dataclass
class Sweep:
    """A sweep in a folder, which may be started again and again."""

    samples: Path
    out: Path
    flags: tuple[str, ...] = ()

    def words(self, *flags: object, as_json: bool = True) -> list[str]:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        space = self.out.parent / "space.yaml"
        if not space.exists():
            space.write_text(SPACE)
        words = ["--samples", self.samples, "--out", self.out, "--space", space]
        words += ["--json"] * as_json
        settings = [word for setting in SETTINGS for word in ("--set", setting)]
        return [str(word) for word in (*words, *settings, *self.flags, *flags)]

    def run(self, *flags: object, timeout: float = 400, as_json: bool = True) -> Done:
        """The command, to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "jobs.sweep", *self.words(*flags, as_json=as_json)], cwd=ROOT,
            env={**os.environ, **ENV}, capture_output=True, text=True, timeout=timeout,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def begin(self, log: Path, *flags: object) -> subprocess.Popen:
        """The command, in the background; what it says goes to `log`."""
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "jobs.sweep", *self.words(*flags)], cwd=ROOT,
                env={**os.environ, **ENV}, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip

    @property
    def trials(self) -> dict[str, dict]:
        """The trials of sweep.json by id; none before there is one."""
        try:
            data = json.loads((self.out / "sweep.json").read_text())
        except OSError:
            return {}
        return {trial["id"]: trial for trial in data["trials"]}

    def states(self) -> list[str]:
        return [trial["state"] for trial in self.trials.values()]

    def first_epochs(self, id: str) -> int:
        """How often a trial has come to the end of its first epoch: once, unless it began anew."""
        log = self.out / "trials" / id / "train.log"
        return len(re.findall(r"epoch 1/\d+: [\d,]+ groups in", log.read_text()))

    def validated(self, id: str) -> int:
        """Validations that a trial has had."""
        path = self.out / "trials" / id / "metrics.jsonl"
        return path.read_text().count('"kind": "validation"') if path.exists() else 0

    def processes(self) -> list[psutil.Process]:
        """The training processes of its trials that live."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            words = process.info["cmdline"] or []
            mine = "jobs.train" in words and any(str(self.out) in word for word in words)
            if mine and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()


def until(happens: Callable[[], object], driver: subprocess.Popen, log: Path, s: float = 180):
    """Wait for something while the sweep runs."""
    end = time.monotonic() + s
    while not happens():
        assert driver.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.05)
