"""Several Horovod processes on this machine, with everything real: Gloo, signals, death."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cluster.horovod import connect
from cluster.launch import launch_here as launch
from intent.errors import IntentError, UsageError
from intent.training import checkpoint
from intent.training.comm import Solo
from intent.training.logbook import read_metrics

ROOT = Path(__file__).parents[2]
JOB = [sys.executable, "-m", "tests.support.horovod_job"]
ENV = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
BOUND_S = 60  # from a rank's failure to the end of the launch

needs_horovod = pytest.mark.skipif(
    importlib.util.find_spec("horovod") is None, reason="Horovod is not installed (make setup)"
)


def losses(folder):
    return [r["loss"] for r in read_metrics(folder / "metrics.jsonl") if r["kind"] == "step"]


def weights(folder):
    with np.load(folder / "weights.npz") as stored:
        return [stored[name] for name in stored.files]


def gap(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Two epochs by a process that has never heard of Horovod."""
    folder = tmp_path_factory.mktemp("one") / "run"
    done = subprocess.run(
        [*JOB, "train", folder], env=os.environ | ENV, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@needs_horovod
def test_two_processes_give_the_curve_and_the_weights_of_one(tmp_path, capfd, one):
    """Rank 1 starts from other weights, so this also shows the broadcast; then each collective.

    The tolerance is that of float32 sums taken in another order.
    """
    outcome = launch(2, [*JOB, "train", str(tmp_path / "run")], ENV)
    assert (outcome.status, outcome.reason) == (0, "")
    summary = json.loads(capfd.readouterr().out)  # nothing but rank 0's own line
    assert summary["ranks"] == 2
    assert np.allclose(losses(tmp_path / "run"), losses(one[0]), rtol=0, atol=1e-6)
    assert gap(weights(tmp_path / "run"), weights(one[0])) < 1e-6
    for name in ("groups", "auc_realtime", "auc_longterm"):  # of the union, not a mean of AUCs
        assert summary["validation"][name] == pytest.approx(one[1]["validation"][name], abs=1e-6)
    assert summary["collectives"] == {
        "sum": [[2.0, 3.0], [4.0, 6.0]],
        "broadcast": [0.0, 5.0],
        "gather": [{"a": [1, 2]}, None],
        "uneven": ["x", "xxxx"],
        "object": {"a": [1, 2]},
    }


@needs_horovod
@pytest.mark.slow
def test_batches_of_other_lengths_on_each_rank_give_the_same_curve(tmp_path, capfd, one):
    """Each rank compiles its steps for its own lengths, in its own order; they must still meet."""
    outcome = launch(2, [*JOB, "short", str(tmp_path / "run")], ENV)
    assert (outcome.status, outcome.reason) == (0, "")
    first, second = json.loads(capfd.readouterr().out)["lengths"]
    assert any(a != b for a, b in zip(first, second, strict=True))
    assert np.allclose(losses(tmp_path / "run"), losses(one[0]), rtol=0, atol=1e-6)
    assert gap(weights(tmp_path / "run"), weights(one[0])) < 1e-6


@needs_horovod
def test_control_without_the_reduction_the_guard_stops_the_job(tmp_path, capfd):
    outcome = launch(2, [*JOB, "unreduced", str(tmp_path / "guarded")], ENV)
    assert outcome.status == 1
    assert "the weights of rank 1 differ from rank 0's" in capfd.readouterr().err


@needs_horovod
@pytest.mark.slow
def test_control_without_reduction_and_guard_the_weights_differ(tmp_path, one):
    assert launch(2, [*JOB, "unguarded", str(tmp_path / "blind")], ENV).status == 0
    assert gap(weights(tmp_path / "blind"), weights(one[0])) > 1e-3


@needs_horovod
@pytest.mark.slow
def test_the_ranks_share_the_cores(capfd, tmp_path):
    assert launch(2, [*JOB, "environment", str(tmp_path)], ENV).status == 0
    share = str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert set(json.loads(capfd.readouterr().out).values()) == {share}


@needs_horovod
@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("exit:1", 7, "rank 1 (worker 1 on localhost) ended with exit status 7"),
        pytest.param(
            "kill:1",
            137,
            "rank 1 (worker 1 on localhost) was killed by SIGKILL",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "exit:0", 7, "rank 0 (worker 0 on localhost) ended with", marks=pytest.mark.slow
        ),
        pytest.param(
            "freeze:1", 1, "rank 1 (worker 1 on localhost) was not heard of", marks=pytest.mark.slow
        ),
        pytest.param(
            "sleep:1", 1, "rank 1 (worker 1 on localhost) was stuck", marks=pytest.mark.slow
        ),
    ],
)
def test_a_rank_that_fails_ends_the_job_in_time_and_is_named(tmp_path, capfd, how, status, reason):
    folder = tmp_path / "run"
    stall = {"HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "25"}
    outcome = launch(2, [*JOB, how, str(folder)], ENV | stall)
    took = time.time() - (folder / "metrics.jsonl").stat().st_mtime  # since the step before
    assert outcome.status == status
    assert outcome.reason.startswith(reason)
    assert len(losses(folder)) == 2  # it fired in the third step
    assert took < BOUND_S
    error = capfd.readouterr().err
    if how == "exit:1":
        assert "the disk of this rank is on fire" in error
        assert "error: rank 1 lost" not in error
    assert not left_over(folder)


def left_over(folder):
    found = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if str(folder) in line]


@needs_horovod
@pytest.mark.parametrize("how", ["SIGTERM", pytest.param("SIGKILL", marks=pytest.mark.slow)])
def test_a_launcher_that_is_stopped_or_killed_leaves_a_checkpoint_and_no_process(tmp_path, how):
    folder = tmp_path / "run"
    code = (
        "import sys; from cluster.launch import launch_here as launch\n"
        "outcome = launch(2, sys.argv[1:]); print(outcome.reason); sys.exit(outcome.status)"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, *JOB, "long", str(folder)],
        env=os.environ | ENV,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 90
    while not (folder / "metrics.jsonl").exists() or len(losses(folder)) < 3:
        assert time.monotonic() < deadline and launcher.poll() is None
        time.sleep(0.1)
    launcher.send_signal(getattr(signal, how))
    out, error = launcher.communicate(timeout=BOUND_S)
    while left_over(folder) and time.monotonic() < deadline + BOUND_S:
        time.sleep(0.1)
    assert not left_over(folder)
    if how == "SIGTERM":
        assert launcher.returncode == 143
        assert out.strip() == "stopped by SIGTERM"
        assert "the same command goes on from there" in error
    found = checkpoint.latest(folder / "checkpoints")
    assert found.position.updates == len(losses(folder))


@needs_horovod
@pytest.mark.slow
def test_two_processes_resumed_are_as_if_never_stopped(tmp_path, one):
    """The first epoch, then the same command for two: the curve of two epochs at once."""
    folder = tmp_path / "run"
    assert launch(2, [*JOB, "first", str(folder)], ENV).status == 0
    assert checkpoint.latest(folder / "checkpoints").position.updates == 6
    assert launch(2, [*JOB, "train", str(folder)], ENV).status == 0
    assert np.allclose(losses(folder), losses(one[0]), rtol=0, atol=1e-6)
    assert gap(weights(folder), weights(one[0])) < 1e-6


@needs_horovod
@pytest.mark.slow
def test_horovodrun_starts_the_same_job(tmp_path, one):
    command = [sys.executable, "-m", "horovod.runner.launch", "-np", "2", "--gloo"]
    command += ["--network-interfaces", "lo", *JOB, "train", str(tmp_path / "run")]
    done = subprocess.run(command, env=os.environ | ENV, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.allclose(losses(tmp_path / "run"), losses(one[0]), rtol=0, atol=1e-6)


def test_a_process_that_nobody_launched_is_alone():
    assert isinstance(connect(), Solo)


def test_bad_calls_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="at least 1, got 0"):
        launch(0, JOB)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(IntentError, match="make setup"):
        launch(2, JOB)
