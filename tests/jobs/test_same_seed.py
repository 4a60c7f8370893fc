"""A command that is run again with the same seed prints and writes the same again.

Two processes, in which sets of strings have another order, each train the same two runs and ask all
commands about them. What may differ is when something was made, and how long it took.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from intent.cli import run, run_command
from intent.evaluation.predict import Predictions
from intent.training.logbook import read_metrics
from jobs import compare
from jobs.build_samples import app
from tests.support import build
from tests.support.raw_logs import random_logs

ROOT = Path(__file__).parents[2]
SMALL = [
    "model.hidden=4", "model.action_width=4", "model.context_width=4", "train.batch_size=64",
    "train.validation_days=1", "train.purge=true", "model.sources=[tap,browse,history,profile]",
]  # fmt: skip
MEASURED = {"groups_per_second", "wait_share", "compute_share", "reduce_share"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    build.build_samples(root, random_logs(users=60, days=6, per_day=20), days=6, length=8)
    return root


def made(folder, seed: int, users: int = 40) -> None:
    """A run folder as far as `intent compare` reads it."""
    rng = np.random.default_rng(seed)
    level = np.random.default_rng(0).normal(size=4 * users)
    p = 1 / (1 + np.exp(-level - rng.normal(size=len(level))))
    labels = (np.random.default_rng(1).random((len(p), 2)) < [0.3, 0.6]).astype(np.uint8)
    found = Predictions(
        {"realtime": p * 0.5, "longterm": p}, labels,
        np.repeat([f"user-{i}" for i in range(users)], 4).astype(object),
        np.tile(np.arange(4), users), np.ones(len(p)),
    )  # fmt: skip
    folder.mkdir()
    found.save(folder / "predictions.parquet")


def test_two_runs_are_compared_alike_with_one_seed_and_not_with_another(tmp_path, capsys):
    made(tmp_path / "a", 2)
    made(tmp_path / "b", 3)

    def told(*more: str) -> str:
        assert run_command(compare.command, [str(tmp_path / n) for n in "ab"] + list(more)) == 0
        return capsys.readouterr().out

    for more in ([], ["--json"]):
        first = told(*more)
        assert first == told(*more) == told("--seed", "0", *more)
        assert first != told("--seed", "1", *more)  # control: other draws, other intervals
    one, other = (json.loads(told("--json", "--seed", seed)) for seed in "01")
    for task in one["tasks"]:
        mine, theirs = one["tasks"][task]["auc"], other["tasks"][task]["auc"]
        assert mine["difference"]["value"] == theirs["difference"]["value"]
        assert mine["difference"]["ci95"] != theirs["difference"]["ci95"]


def test_leaks_are_told_alike_and_another_lot_otherwise(samples, capsys):
    def told(*more: str) -> str:
        assert run(app, ["leaks", str(samples), *more]) == 0
        return capsys.readouterr().out

    for more in ([], ["--json"], ["--json", "--by-lot", "1"]):
        assert told(*more) == told(*more)
    assert told("--json", "--by-lot", "1") != told("--json", "--by-lot", "2")


def in_order(order: str, folder, commands: list[list[str]]) -> list[str]:
    """What each command prints, run in `folder` with one order of sets."""
    folder.mkdir()
    env = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": order}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.command_list"], input=json.dumps(commands),
        cwd=folder, env=os.environ | env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [status for status, _ in found] == [0] * len(commands), done.stderr
    return [out for _, out in found]


def without_time(path) -> str:
    """A page, but for when it was made."""
    text, dates = re.subn(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", path.read_text())
    assert dates
    return text


def without_measured(run) -> list[dict]:
    """A run's figures, but for how fast it was."""
    records = read_metrics(run / "metrics.jsonl")
    return [{k: v for k, v in record.items() if k not in MEASURED} for record in records]


@pytest.mark.slow
def test_every_command_says_and_writes_the_same_again(samples, tmp_path):
    where = ["--samples", str(samples)]
    ours, user = ["--run", "run"], ["--user", "user-3"]
    trained = [
        ["train", *where, "--run", name, *(f"--set={each}" for each in [*SMALL, f"train.seed={n}"])]
        for name, n in (("run", 0), ("other", 1))
    ]
    told = [
        ["evaluate", *ours, *where, "--json"],
        ["evaluate", "--run", "other", *where],
        ["compare", "run", "other"],
        ["explain", *ours, *user, "--json"],
        ["calibrate", *ours, "--method", "isotonic", "--json"],
        ["calibrate", *ours],
        ["evaluate", *ours, *where],
        ["explain", *ours, *user, "--out", "why.html"],
        ["samples", "leaks", str(samples), "--out", "leaks.html"],
    ]
    found = [in_order(order, tmp_path / order, [*trained, *told]) for order in ("1", "2")]
    for command, one, again in zip(told, *(outs[2:] for outs in found), strict=True):
        assert one == again, command
        assert len(one) > 200, command

    one, again = tmp_path / "1", tmp_path / "2"
    for name in ("run", "other"):
        for file in ("evaluation.json", "predictions.parquet"):
            assert (one / name / file).read_bytes() == (again / name / file).read_bytes(), file
        assert without_measured(one / name) == without_measured(again / name)
    for file in ("run/report.html", "other/report.html", "why.html", "leaks.html"):
        assert without_time(one / file) == without_time(again / file), file
    maps = [json.loads((f / "run/recalibration.json").read_text()) for f in (one, again)]
    for each in maps:
        del each["model"]  # the digest of a file that says when it was made
    assert maps[0] == maps[1] and maps[0]["method"] == "temperature"
    # Control: another seed trains another model.
    assert without_measured(one / "run") != without_measured(one / "other")
    assert "the same model" not in found[0][4]
