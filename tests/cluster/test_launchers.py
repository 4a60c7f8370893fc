"""One training under every launcher: the same loss curve and the same scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from intent.simulate.shop import simulate
from tests.support.commands import intent
from tests.support.held import ROOT
from tests.support.namespaces import missing, network
from tests.support.sshd import no_sshd, sshd
from tests.support.standalone import free_port

SETTINGS = [
    "train.batch_size=16", "train.max_groups=96", "model.hidden=4", "model.branch_units=[4]",
    "model.action_width=4", "model.context_width=4", "train.clip_norm=1",
]  # fmt: skip
LIMIT_S = 240
ENV = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
pytestmark = pytest.mark.slow


class Job:
    """Trains on a simulated shop in the same way, in a run folder for each launcher."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        simulate(folder / "logs", users=40, days=5, seed=1, rate=0.1)
        sets = ["--set", "samples.length=16", "--set", "samples.cuts_per_day=4"]
        done = intent("samples", "--logs", folder / "logs", "--out", folder / "samples", *sets)
        assert done.status == 0, done.err

    def words(self, name: str, *flags: object) -> list[str]:
        places = ["--samples", self.folder / "samples", "--run", self.folder / name]
        settings = [word for setting in SETTINGS for word in ("--set", setting)]
        return [str(word) for word in (*places, *settings, "--json", *flags)]

    def run(self, name: str, *flags: object, before=(), module=("-m", "jobs.train"), **env: str):
        """Train, and return the losses and the scores of the held-out day."""
        words = [*before, sys.executable, *module, *self.words(name, *flags)]
        done = subprocess.run(
            words, cwd=ROOT, env={**os.environ, **ENV, **env}, capture_output=True, text=True,
            timeout=LIMIT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return self.result(name)

    def result(self, name: str) -> np.ndarray:
        lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
        found = []
        for record in map(json.loads, lines):
            found += [record[key] for key in sorted(record) if key.startswith(("loss", "auc_"))]
        return np.array(found, float)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return Job(tmp_path_factory.mktemp("launchers"))


@pytest.fixture(scope="module")
def expected(job):
    losses = job.run("local", "--np", 2)
    assert len(losses) > 3 and np.isfinite(losses).any()
    other = job.run("another-seed", "--np", 2, "--set", "train.seed=1")
    assert not np.allclose(losses, other, atol=1e-4, equal_nan=True)  # they can differ
    return losses


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@contextmanager
def topology(folder: Path, **data):
    path = folder / f"{data['launcher']}-{len(os.listdir(folder))}.yaml"
    path.write_text(json.dumps(data))  # which is YAML too
    yield "--topology", path


def test_one_process(job, expected):
    np.testing.assert_allclose(job.run("one"), expected, rtol=0, atol=1e-4)


def test_horovodrun_on_this_machine(job, expected):
    module = (
        "-m",
        "horovod.runner.launch",
        "--gloo",
        "-np",
        "2",
        sys.executable,
        "-m",
        "jobs.train",
    )
    assert_same(job.run("horovodrun", module=module), expected)


@pytest.mark.skipif(bool(no_sshd()), reason=no_sshd())
def test_ssh_to_two_addresses(job, expected, tmp_path):
    with sshd(tmp_path / "sshd", ["127.0.0.2", "127.0.0.3"]) as shell:
        hosts = ["127.0.0.2:1", "127.0.0.3:1"]
        data = {"launcher": "ssh", "hosts": hosts, "shell": shell, "environment": ENV}
        with topology(tmp_path, **data) as flags:
            assert_same(job.run("ssh", *flags), expected)


@pytest.mark.skipif(bool(no_sshd()), reason=no_sshd())
def test_horovodrun_to_two_addresses(job, expected, tmp_path):
    with sshd(tmp_path / "sshd", ["127.0.0.2", "127.0.0.3"]) as shell:
        port, key = shell[shell.index("-p") + 1], shell[shell.index("-i") + 1]
        launcher = ["-m", "horovod.runner.launch", "--gloo", "-np", "2", "-H"]
        launcher += ["127.0.0.2:1,127.0.0.3:1", "--network-interfaces", "lo", "--ssh-port", port]
        launcher += ["--ssh-identity-file", key, sys.executable, "-m", "jobs.train"]
        assert_same(job.run("horovodrun-ssh", module=launcher), expected)


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_hosts_with_interfaces_of_their_own(job, expected, tmp_path):
    with network(["a", "b"]) as hosts:
        data = {
            "launcher": "ssh", "hosts": list(hosts.names.values()), "environment": ENV,
            "shell": ["ip", "netns", "exec", "{host}", "sh", "-c"],
            "coordinator": {"address": hosts.address},
        }  # fmt: skip
        with topology(tmp_path, **data) as flags:
            assert_same(job.run("namespaces", *flags), expected)


@pytest.mark.parametrize("launcher", ["spark", "ray"])
def test_inside_an_application(job, expected, launcher):
    assert_same(job.run(launcher, "--np", 2, "--launcher", launcher), expected)


@pytest.mark.parametrize(
    "kinds, flags",
    [(["worker", "worker"], ["--elastic", "--min-np=1"]), (["ps", "chief", "worker", "ps"], [])],
)
def test_every_process_started_by_somebody_else(job, expected, kinds, flags):
    cluster: dict[str, list[str]] = {}
    tasks = []
    for kind in kinds:
        tasks.append({"type": kind, "index": len(cluster.get(kind, ()))})
        cluster.setdefault(kind, []).append(f"127.0.0.1:{free_port()}")
    name = "-".join(kinds)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "jobs.train", *job.words(name, *flags)], cwd=ROOT,
            env={
                **os.environ, **ENV, "INTENT_MEETING_TOKEN": "secret",
                "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        )
        for task in reversed(tasks)  # the coordinator comes last
    ]  # fmt: skip
    said = [process.communicate(timeout=LIMIT_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(kinds), said
    assert_same(job.result(name), expected)
