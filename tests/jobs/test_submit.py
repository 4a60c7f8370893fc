"""The job files under the launchers that people know: spark-submit and horovodrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from intent.config import SamplesConfig
from jobs.build_samples import build_samples
from tests.support.raw_logs import random_logs, write_logs

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=280,
        stdin=subprocess.DEVNULL, env=os.environ | variables,
    )  # fmt: skip


def test_spark_submit_builds_the_same_samples(tmp_path):
    from cluster.java import java_home

    write_logs(tmp_path / "logs", random_logs())
    here = build_samples(tmp_path / "logs", tmp_path / "a", SamplesConfig(length=16))
    done = run(
        BIN / "spark-submit", "--master", "local[2]", "jobs/build_samples.py",
        "--logs", tmp_path / "logs", "--out", tmp_path / "b", "--set", "samples.length=16",
        "--json", JAVA_HOME=str(java_home()), PYSPARK_PYTHON=sys.executable,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["content_hash"] == here.content_hash()


@pytest.mark.slow
def test_horovodrun_trains_like_one_process(tmp_path):
    write_logs(tmp_path / "logs", random_logs(users=8))
    build_samples(tmp_path / "logs", tmp_path / "s", SamplesConfig(length=16))
    flags = ["--samples", tmp_path / "s", "--set", "train.batch_size=64", "--json"]
    launcher = [sys.executable, "-m", "horovod.runner.launch", "--gloo", "-np", "2"]
    two = run(*launcher, sys.executable, "jobs/train.py", "--run", tmp_path / "two", *flags)
    assert two.returncode == 0, two.stderr[-3000:]
    one = run(sys.executable, "jobs/train.py", "--run", tmp_path / "one", *flags)
    assert one.returncode == 0, one.stderr[-3000:]

    def curve(name: str) -> list[tuple]:
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        return [(r["step"], r["loss"]) for r in rows if r["kind"] == "step"]

    alone, together = curve("one"), curve("two")
    assert [s for s, _ in alone] == [s for s, _ in together]
    assert all(abs(a - b) < 1e-4 for (_, a), (_, b) in zip(alone, together, strict=True))
