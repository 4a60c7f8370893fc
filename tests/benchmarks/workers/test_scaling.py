"""The benchmark of scaling, run in small."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.workers.data import SMALL, make_groups, pick
from benchmarks.workers.loopback import one_way_s

ROOT = Path(__file__).resolve().parents[3]
NAMES = {
    "efficiency_two_ranks", "checkpoint_overhead", "elastic_overhead", "recovery_s",
    "predicted_efficiency_100_at_25gbps",
}  # fmt: skip


def test_groups_are_full_and_the_same_for_all():
    groups, again = make_groups(SMALL, 7), make_groups(SMALL, 7)
    assert all((groups[name] == again[name]).all() for name in groups)
    assert (groups["tap"][..., 0] > 0).all() and groups["tap"].shape == (7, 32, 2)
    other = make_groups(SMALL, 7, seed=1)
    assert (groups["tap"] != other["tap"]).any()


def test_groups_come_over_and_over():
    import numpy as np

    groups = make_groups(SMALL, 5)
    inputs, labels = pick(groups, np.arange(4, 7))
    assert (inputs["tap"] == groups["tap"][[4, 0, 1]]).all()
    assert (labels == groups["labels"][[4, 0, 1]]).all()


def test_loopback_takes_microseconds():
    assert 1e-7 < one_way_s() < 1e-1


@pytest.mark.slow
def test_quick_prints_the_figures(tmp_path):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "benchmarks/scaling.py", "--quick", "--report", str(tmp_path / "a.md")],
        cwd=ROOT, capture_output=True, text=True, timeout=600, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    found = {f["name"]: f for f in result["figures"]}
    assert result["quick"] and set(found) >= NAMES
    assert all(isinstance(found[name]["value"], float) for name in NAMES)
    assert found["recovery_s"]["value"] > 0 and time.monotonic() > began
    assert "## Predictions" in (tmp_path / "a.md").read_text()
