"""`intent cluster plan` as a user meets it."""

from __future__ import annotations

import json

import pytest

from intent.cli import run
from intent.schema import PAPER
from jobs.cluster_commands import app

TOPOLOGY = """
coordinator: {address: 127.0.0.1}
hosts: [{name: a-host-with-a-long-name.example.net, slots: 2}, 'b:30']
"""


@pytest.fixture
def told(capsys):
    def call(*arguments):
        status = run(app, ["plan", *map(str, arguments)])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(TOPOLOGY)
    return path


def test_json_has_it_all(told, file):
    status, out, err = told("--topology", file, "--run", "s3://shop/run", "--json")
    plan = json.loads(out)
    assert status == 0 and err == "" and len(out.splitlines()) == 1
    assert plan["workers"] == len(plan["places"]) == 32 and plan["step"] is None
    assert plan["shared"]["run"] == "s3://shop/run"


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_the_tables_fit(told, file, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    status, out, _ = told("--topology", file)
    assert status == 0
    commands = ("cluster.starters.held", "-m jobs.train")  # which stay in one piece, to be copied
    lines = [line for line in out.splitlines() if not any(c in line for c in commands)]
    assert max(map(len, lines)) <= columns
    assert "12-19" in out and "8 more" in out  # of 32 ranks the middle ones are left out
    assert "\x1b[" not in out and "WARNING: coordinator.address 127.0.0.1 is loopback" in out


def test_the_bytes_of_this_model(told):
    small = ["--set", "model.sources=[history, profile]", "--set", "model.branch_units=[4]"]
    status, out, _ = told("--hosts", "localhost:2", *small, "--json")
    step = json.loads(out)["step"]
    parts = (PAPER.history, PAPER.profile)
    tables = sum(feature.rows * feature.embedding for part in parts for feature in part)
    contexts = sum(32 * sum(feature.embedding for feature in part) + 32 for part in parts)
    branches = 2 * (64 * 4 + 4 + 4 + 1)
    assert status == 0 and step["weights"] == tables + contexts + branches
    assert step["sent_bytes_per_worker"] == 4 * step["weights"]


def test_tf_config(told, monkeypatch):
    cluster = {"chief": ["a:7070"], "worker": ["b:7070"], "evaluator": ["c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    status, out, _ = told()
    assert status == 0 and "2 workers on cpu, which come by themselves" in out
    assert "chief 0 is the coordinator, and trains as well" in out
    assert "1 evaluator task has nothing to do" in out


def test_bad_usage(told, file, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for arguments, message in (
        ([], "say where training runs"),
        (["--topology", file, "--hosts", "a"], "not both"),
        (["--topology", "none.yaml"], "cannot read the topology none.yaml"),
        (["--hosts", "a:b"], "'a:b' is not host:slots"),
    ):
        status, out, err = told(*arguments)
        assert status == 2 and message in err and out == ""
