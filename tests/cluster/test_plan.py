"""The plan says what will be done, and warns of what will not work."""

from __future__ import annotations

import os

import pytest

from cluster import storage_kind
from cluster.plan import make_plan, with_step
from cluster.storage_kind import file_system, shared_storage
from cluster.tf_config import read, topology_of
from cluster.topology import from_hosts, make_topology

TASKS = '{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:7", "d:1", "e:1"]}}'


def test_who_runs_where():
    hosts = [{"name": "a", "slots": 2, "cores": 3}, "b:2"]
    data = {"hosts": hosts, "workers": 3, "device": "gpu", "coordinator": {"address": "10.9.9.9"}}
    plan = make_plan(make_topology({**data, "folder": "/f", "python": "/p"}, "t"))
    rows = [(p.rank, p.host, p.local_rank, p.device, p.threads) for p in plan.places]
    assert rows == [
        (0, "a", 0, "gpu 0", "3"), (1, "a", 1, "gpu 1", "3"), (2, "b", 0, "gpu 0", "a share"),
    ]  # fmt: skip
    assert list(plan.starts) == ["a", "b"]
    assert plan.starts["b"].endswith(" b 'cd /f && exec /p -u -m cluster.starters.held'")
    assert plan.job.startswith("/p -m jobs.train --samples ")
    assert "1 slot stays empty" in plan.notes
    assert plan.coordinator["address"] == "10.9.9.9" and plan.workers == 3


def test_the_bytes_of_a_step():
    plan = make_plan(from_hosts("localhost:4"))
    step = with_step(plan, 1000).step
    assert step["gradient_bytes"] == 4000 and step["sent_bytes_per_worker"] == 6000
    assert with_step(plan, 1000, "bfloat16").step["sent_bytes_per_worker"] == 3000
    alone = make_plan(from_hosts("localhost"))
    assert with_step(alone, 1000).step["sent_bytes_per_worker"] == 0


def test_tf_config_says_what_becomes_of_its_tasks():
    environ = {"TF_CONFIG": TASKS}
    plan = make_plan(topology_of(environ), tasks=read(TASKS)[0])
    assert plan.coordinator == {"host": "ps 0", "address": "c", "port": "7"}
    assert [place.host for place in plan.places] == ["a", "b"]
    assert any("2 ps tasks have nothing to do" in note for note in plan.notes)
    assert any("holds no weights" in note for note in plan.notes)


@pytest.mark.parametrize(
    "data, run, told",
    [
        ({"hosts": ["a", "b"]}, "runs/1", "the run folder runs/1 is a relative path"),
        ({"hosts": ["a", "b"]}, "file:///r", "which each host has for itself"),
        ({"hosts": [{"name": "localhost", "cores": 9999}]}, None, "is to give 9999 cores"),
        ({"hosts": ["no.such.invalid"]}, None, "set coordinator.address"),
        ({"hosts": ["a"], "coordinator": {"address": "192.0.2.77"}}, None, "no address of this"),
        ({"hosts": ["a", "b"], "coordinator": {"address": "127.0.0.1"}}, None, "is loopback"),
        ({"hosts": ["a:2"], "elastic": {"min_workers": 2}}, None, "no worker can be done without"),
        ({"launcher": "ray", "workers": 2}, "runs/1", "is a relative path"),
    ],
)
def test_warnings(data, run, told):
    warnings = make_plan(make_topology(data, "t"), run=run).warnings
    assert any(told in warning for warning in warnings), warnings


@pytest.mark.parametrize(
    "data, run",
    [
        ({"workers": 1}, "runs/1"),
        ({"hosts": ["localhost:1", "127.0.0.1:1"]}, "runs/1"),
        ({"hosts": ["10.0.0.1", "10.0.0.2"], "coordinator": {"address": None}}, "s3://b/r"),
    ],
)
def test_where_all_is_well_nothing_is_warned_of(data, run, monkeypatch):
    monkeypatch.setattr("cluster.plan.address_towards", lambda name: "10.0.0.9")
    assert make_plan(make_topology(data, "t"), run=run).warnings == []


def test_found_hosts_are_in_the_plan(tmp_path):
    script = tmp_path / "hosts"
    script.write_text("#!/bin/sh\necho a:2\necho b:4\n")
    script.chmod(0o755)
    data = {"elastic": {"discovery": str(script), "max_workers": 3}}
    plan = make_plan(make_topology(data, "t"))
    assert [place.host for place in plan.places] == ["a", "a", "b"]


def test_what_is_shared(tmp_path, monkeypatch):
    assert shared_storage("s3://bucket/run") == ""
    kind = file_system(str(tmp_path / "not" / "yet"))
    assert kind in shared_storage(str(tmp_path)) or kind in storage_kind.SHARED
    monkeypatch.setattr(storage_kind, "file_system", lambda place: "nfs4")
    assert shared_storage("/mnt/run") == ""
    assert file_system("/proc/self") == "proc" and os.path.isdir("/proc/self")
