"""What the sample job's benchmark measures; each measure gives plain numbers."""

from __future__ import annotations

import os
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.samples import event_log, logs, profiles
from benchmarks.samples.compare import differences, write_cuts
from benchmarks.samples.processes import Run, run

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
FORMS = ("arrays", "joins", "windows")


@dataclass(frozen=True)
class Place:
    """Where and how everything runs: a scratch folder, and windows of `length` actions."""

    folder: Path
    length: int
    cores: int = 2

    def env(self, submit: list[str] | None = None, **more: str) -> dict[str, str]:
        """The environment of a run, with options for spark-submit."""
        from cluster.java import java_home

        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env |= {"JAVA_HOME": java_home(), "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
        env |= {"SPARK_LOCAL_IP": "127.0.0.1", **more}
        if submit:
            env["PYSPARK_SUBMIT_ARGS"] = " ".join([*submit, "pyspark-shell"])
        return env

    def ours(self, name: str, *options: str, env: dict[str, str] | None = None) -> Run:
        """Our job over the logs `name`; its data set is then `self.samples(name)`."""
        shutil.rmtree(self.samples(name), ignore_errors=True)
        command = [sys.executable, str(HERE / "our_job.py"), "--logs", str(self.folder / name)]
        command += ["--out", str(self.samples(name)), "--cores", str(self.cores), "--json"]
        command += ["--set", f"samples.length={self.length}", *options]
        return run(command, env or self.env())

    def plain(self, name: str, form: str) -> Run:
        """The rival over the logs `name`, at the cuts of our data set."""
        cuts = self.folder / f"{name}-cuts.parquet"
        if not cuts.exists():
            write_cuts(self.samples(name), cuts)
        command = [sys.executable, str(HERE / "plain_job.py"), str(self.folder / name), str(cuts)]
        command += [str(self.dense(name)), "--form", form, "--length", str(self.length)]
        return run([*command, "--cores", str(self.cores)], self.env())

    def samples(self, name: str) -> Path:
        """Our data set of the logs `name`."""
        return self.folder / f"{name}-samples"

    def dense(self, name: str) -> Path:
        """The rival's data set of the logs `name`."""
        return self.folder / f"{name}-dense"

    def check(self, name: str) -> None:
        """RuntimeError unless the rival's groups are ours."""
        if bad := differences(self.samples(name), self.dense(name)):
            raise RuntimeError(f"the rival's groups are not ours; groups that differ: {bad}")


def forms(place: Place, name: str, which: tuple[str, ...] = FORMS) -> dict[str, Run]:
    """One run of each of the rival's formulations, each checked equal to ours."""
    place.ours(name)
    found = {}
    for form in which:
        found[form] = place.plain(name, form)
        place.check(name)
    return found


def race(place: Place, name: str, form: str, repeats: int) -> tuple[list[Run], list[Run]]:
    """Ours and the rival in turns, `repeats` times; the last outputs are compared and kept."""
    ours, plain = [], []
    for _ in range(repeats):
        ours.append(place.ours(name))
        plain.append(place.plain(name, form))
    place.check(name)
    return ours, plain


def growth(
    place: Place, names: list[str], repeats: int, measured: dict[str, list[Run]]
) -> dict[str, list[Run]]:
    """Runs of our job at several sizes, taken in turns; those that are `measured` stay as is."""
    found: dict[str, list[Run]] = defaultdict(list, measured)
    for _ in range(repeats):
        for name in names:
            if name not in measured:
                found[name].append(place.ours(name))
    return {name: found[name] for name in names}


def straight(events: list[int], seconds: list[float]) -> tuple[float, float, list[float]]:
    """Least squares seconds = a + b * events: a, b, and by how much each is off, as a share."""
    b, a = np.polyfit(events, seconds, 1)
    fitted = a + b * np.asarray(events)
    return float(a), float(b), [float(d) for d in np.asarray(seconds) / fitted - 1]


def logged(place: Place, name: str, *options: str) -> tuple[Run, dict[int, event_log.Stage]]:
    """A run of our job with Spark's event log, and its stages."""
    folder = place.folder / f"{name}-events"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    done = place.ours(name, *options, env=place.env(event_log.options(folder)))
    return done, event_log.stages(folder)


def straggler(place: Place, name: str, times: int, tasks: int) -> dict[str, float]:
    """The longest reducing task against the median one, with a heavy user and without."""
    heavy, medians = logs.with_heavy_user(place.folder / name, place.folder / "heavy", times)
    out = {"times_the_median_user": medians}
    for label, logs_name in (("even", name), ("heavy", "heavy")):
        _, stages = logged(place, logs_name, "--partitions", str(tasks))
        seconds = event_log.reducing(stages).tasks_s
        out |= {
            f"{label}_tasks": len(seconds),
            f"{label}_longest_s": max(seconds),
            f"{label}_median_s": median(seconds),
        }
    return out


def profile(place: Place, name: str) -> dict[str, float]:
    """CPU seconds of the Python workers by function of ours."""
    folder = place.folder / "profiles"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    module = ["--conf", "spark.python.daemon.module=benchmarks.samples.profiled_daemon"]
    place.ours(name, env=place.env(module, WORKER_PROFILES=str(folder)))
    return profiles.worker_seconds(folder, ROOT)
