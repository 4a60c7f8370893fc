"""A run that lies on an object store, from training to the device's scores."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from intent import storage
from intent.config import load_config
from intent.edge.runtime import Bundle
from intent.samples import manifest as manifests
from intent.training import checkpoint
from intent.training.logbook import read_metrics
from intent.training.run_dir import RunDir, open_run, read_run
from jobs.evaluate import _chosen_by, evaluate_run
from jobs.explain import explain_run
from jobs.export import export_run
from jobs.score import brought
from jobs.train import train
from tests.support import build
from tests.support.raw_logs import random_logs
from tests.support.s3 import s3, s3_server  # noqa: F401  fixtures

SMALL = [
    "model.hidden=4", "model.action_width=4", "model.context_width=4", "train.batch_size=64",
    "train.validation_days=1", "train.epochs=2", "train.checkpoint_every=2",
]  # fmt: skip
RUN = "s3://shop/runs/first"


@pytest.fixture
def samples(tmp_path):
    build.build_samples(tmp_path / "samples", random_logs(users=6, per_day=12), length=8)
    return tmp_path / "samples"


@pytest.mark.slow
def test_every_command_takes_the_url_of_a_run(samples, s3):  # noqa: F811
    summary = train(samples, RUN, load_config(overrides=SMALL))
    assert summary["model"] == f"{RUN}/model.keras" and summary["weights"] == "best"
    result, found = evaluate_run(RUN, samples)
    manifest = read_run(RUN).manifest
    assert result["days"] == manifest.days[-1:] and result["run"] == RUN
    assert not any("too good" in note for note in result["notes"])
    told = export_run(RUN, "none")
    assert told["folder"] == f"{RUN}/device"
    bundle = Bundle.load(brought(f"{RUN}/device"))
    assert set(bundle.tasks) == set(found.scores)
    explanation, _ = explain_run(RUN, found.users[0])
    assert explanation.told["run"] == RUN
    names = set(storage.files(RUN))
    assert {"report.html", "evaluation.json", "predictions.parquet", "samples.txt"} <= names
    assert {n.split("/")[0] for n in names} >= {"tensorboard", "checkpoints", "device"}
    records = storage.read_text(f"{RUN}/metrics.jsonl").splitlines()
    assert [json.loads(r)["kind"] for r in records].count("validation") == 2
    again = train(samples, RUN, load_config(overrides=SMALL))  # nothing is left to do
    assert again["steps"] == 0 and again["best"] == summary["best"]


def test_figures_of_days_learnt_from_or_chosen_by_are_said_to_be_too_good(tmp_path, samples):
    manifest = manifests.load(samples)
    run = RunDir(tmp_path, load_config(overrides=SMALL), manifest)
    first, *_, chosen, held_out = manifest.days
    assert _chosen_by(run, [held_out]) == []
    assert _chosen_by(run, [chosen, held_out])[0].startswith(f"The weights were chosen by {chosen}")
    assert _chosen_by(run, [first])[0].startswith(f"The weights were learnt from {first}")


@pytest.mark.slow
def test_killed_outright_and_started_again_it_ends_as_if_never_killed(tmp_path, samples, s3):  # noqa: F811
    sets = [*SMALL, "train.epochs=6"]
    command = [sys.executable, "-m", "jobs.train", "--samples", str(samples), "--run", RUN]
    command += [f"--set={s}" for s in sets]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600  # on a machine that others work on too
    try:
        while not any(name.endswith("checkpoint.json") for name in storage.files(RUN)):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not storage.exists(f"{RUN}/model.keras")
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert 0 < summary["steps"] < summary["updates"]
    train(samples, tmp_path / "whole", load_config(overrides=sets))
    there = open_run(RUN, read_run(RUN).config, read_run(RUN).manifest)
    ours, theirs = (
        checkpoint.latest(folder) for folder in (there.checkpoints, tmp_path / "whole/checkpoints")
    )
    assert ours.position == theirs.position and ours.choice == theirs.choice
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        assert np.array_equal(mine, other)
    steps = [r["step"] for r in read_metrics(there.metrics) if r["kind"] == "step"]
    assert steps == [
        r["step"] for r in read_metrics(tmp_path / "whole/metrics.jsonl") if r["kind"] == "step"
    ]
