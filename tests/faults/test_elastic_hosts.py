"""Hosts disappear and come, and the coordinator itself dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from cluster.policy import Policy
from cluster.starters.local import LocalStarter
from cluster.starters.ssh import SshStarter
from cluster.supervisor import run
from intent.training import checkpoint
from intent.training.logbook import read_metrics
from tests.faults.needs import needs_horovod
from tests.support import namespaces
from tests.support.elastic import ENV, QUICK, ROOT, Trained, check_stream, prepare

pytestmark = [needs_horovod, pytest.mark.slow]
BOUND_S = 60
EPOCHS, GROUPS = 6, 160


def steps_done(folder: Path) -> int:
    return sum(r["kind"] == "step" for r in read_metrics(folder / "run/metrics.jsonl"))


def after_steps(folder: Path, count: int, act: Callable[[], object]) -> threading.Thread:
    """Do `act` once training has made so many steps."""

    def wait() -> None:
        while steps_done(folder) < count:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())
@pytest.mark.parametrize("lost", ["b", "a"])
def test_a_host_is_cut_off_in_the_middle(tmp_path, lost):
    """Its packets vanish and nobody is told. `a` has rank 0."""
    prepare(tmp_path, {}, EPOCHS, GROUPS, pause_s=0.3)
    cut: list[float] = []
    with namespaces.network(["a", "b"]) as hosts:

        def disconnect() -> None:
            hosts.cut(lost)
            cut.append(time.time())

        wire = after_steps(tmp_path, 5, disconnect)
        shell = ["ip", "netns", "exec", "{host}", "sh", "-c"]
        outcome = run(
            partial(SshStarter, shell, sys.executable, str(ROOT), {}),
            [hosts.names["a"], hosts.names["b"]],
            [sys.executable, "-m", "tests.support.elastic_job", str(tmp_path)],
            ENV,
            Policy(elastic=True, failures=1, **QUICK),
            address=hosts.address,
        )
        wire.join(timeout=1)
        assert cut, "the host was never cut off"
    found = Trained(tmp_path, outcome, 0.0)
    assert (outcome.status, outcome.reason) == (0, "")
    repeated = check_stream(found, EPOCHS, GROUPS)
    assert repeated == found.summary["repeated_groups"]
    assert repeated in (0, 16)  # it may be cut off between two steps
    happened = [r for r in found.records if r["kind"] == "membership"]
    assert any(f"on {hosts.names[lost]}" in sentence for sentence in happened[0]["told"])
    # Without the lost host the next step came within the bound.
    times = (tmp_path / "run/metrics.jsonl").stat().st_mtime
    assert times > cut[0]
    assert happened[0]["ranks"] == 1


def test_a_host_joins(tmp_path):
    """A discovery script would tell: one host at first, later two, and every group still once."""
    prepare(tmp_path, {}, EPOCHS, GROUPS, pause_s=0.3)
    slots = {"localhost": 1}
    more = after_steps(tmp_path, 5, lambda: slots.update({"other": 1}))
    outcome = run(
        lambda relay: LocalStarter(own_terminal=False, relay=relay),
        ["localhost"],
        [sys.executable, "-m", "tests.support.elastic_job", str(tmp_path)],
        ENV,
        Policy(elastic=True, **QUICK),
        discover=lambda: dict(slots),
    )
    more.join(timeout=1)
    found = Trained(tmp_path, outcome, 0.0)
    assert outcome.status == 0
    assert check_stream(found, EPOCHS, GROUPS) == 0
    happened = [r for r in found.records if r["kind"] == "membership"]
    assert [(r["told"], r["ranks"]) for r in happened] == [(["worker 1 on other joined"], 2)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_coordinating_process_dies(tmp_path, how):
    """Its workers end by themselves within the bound, with a checkpoint of their last step."""
    prepare(tmp_path, {}, 200, GROUPS, pause_s=0.2)
    code = (
        "import sys; from pathlib import Path; from tests.support import elastic\n"
        "elastic.prepare = lambda *_: None\n"
        f"found = elastic.train(Path({str(tmp_path)!r}), 2)\n"
        "sys.exit(found.outcome.status)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | ENV, stderr=subprocess.PIPE
    )
    while steps_done(tmp_path) < 4:
        assert process.poll() is None
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.send_signal(how)
    gone, alive = psutil.wait_procs(workers, timeout=BOUND_S)
    for left in alive:
        left.kill()
    assert not alive
    assert process.wait(timeout=BOUND_S) == (-9 if how == signal.SIGKILL else 143)
    found = checkpoint.latest(tmp_path / "run/checkpoints")
    assert found.position.updates == steps_done(tmp_path)


def test_a_worker_is_frozen_and_thaws_too_late(tmp_path):
    """It must not come back as a rank that nobody counts with any more."""
    prepare(tmp_path, {}, EPOCHS, GROUPS, pause_s=0.3)
    started: list = []

    class Patient(LocalStarter):
        """Does not kill who is stopped, as on a host that cannot be reached for a while."""

        def start(self, host, argv, env):
            worker = super().start(host, argv, env)
            started.append(worker)
            kill = worker.signal
            worker.signal = lambda number: None if frozen(worker) else kill(number)
            return worker

    def frozen(worker) -> bool:
        if not psutil.pid_exists(worker.pid):
            return False
        return psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED

    def freeze() -> None:
        os.killpg(started[1].pid, signal.SIGSTOP)
        time.sleep(QUICK["silence_s"] + 8)
        os.killpg(started[1].pid, signal.SIGCONT)

    ice = after_steps(tmp_path, 5, freeze)
    outcome = run(
        lambda relay: Patient(own_terminal=False, relay=relay),
        ["localhost"] * 2,
        [sys.executable, "-m", "tests.support.elastic_job", str(tmp_path)],
        ENV,
        Policy(elastic=True, failures=1, **QUICK),
    )
    ice.join(timeout=QUICK["silence_s"] + 20)
    found = Trained(tmp_path, outcome, 0.0)
    assert outcome.status == 0
    assert check_stream(found, EPOCHS, GROUPS) == found.summary["repeated_groups"]
    assert started[1].status() != 0
