"""TF_CONFIG gives every process its role, and the same coordinator to all."""

from __future__ import annotations

import json

import pytest

from cluster.tf_config import role_of, topology_of
from intent.errors import UsageError

FULL = {
    "chief": ["a:1"],
    "worker": ["b:1", "c:1", "c:2"],
    "ps": ["d:7070", "e:1"],
    "evaluator": ["f:1"],
}


def variable(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def roles(cluster):
    tasks = [(kind, i) for kind, addresses in cluster.items() for i in range(len(addresses))]
    return {f"{k} {i}": role_of(variable(cluster, k, i)) for k, i in tasks}


def test_the_first_ps_coordinates_and_the_others_have_nothing_to_do():
    found = roles(FULL)
    assert {r.address for r in found.values()} == {"d"} and {r.port for r in found.values()} == {
        7070
    }
    kinds = {task: (r.kind, r.trains, r.number) for task, r in found.items()}
    assert kinds == {
        "chief 0": ("worker", True, 0),
        "worker 0": ("worker", True, 1),
        "worker 1": ("worker", True, 2),
        "worker 2": ("worker", True, 3),
        "ps 0": ("coordinator", False, None),
        "ps 1": ("idle", False, None),
        "evaluator 0": ("idle", False, None),
    }
    assert "no further parameter server" in found["ps 1"].why and found["ps 0"].workers == 4


@pytest.mark.parametrize("first", ["chief", "worker"])
def test_without_a_ps_the_chief_or_the_first_worker_also_coordinates(first):
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    if first == "worker":
        del cluster["chief"]
    found = roles(cluster)
    assert [task for task, r in found.items() if r.kind == "coordinator"] == [f"{first} 0"]
    assert sorted(r.number for r in found.values()) == list(range(len(found)))
    assert all(r.trains for r in found.values())


def test_an_evaluator_need_not_stand_in_the_cluster():
    assert role_of(variable({"worker": ["a:1"]}, "evaluator")).kind == "idle"


def test_the_index_may_be_text():
    assert role_of(variable({"worker": ["a:1", "b:1"]}, index="1")).number == 1


def test_without_it_there_is_no_role():
    assert role_of({}) is None and role_of({"TF_CONFIG": ""}) is None


def test_as_a_topology():
    topology = topology_of(variable(FULL))
    assert topology.launcher == "join" and topology.count() == 4
    assert [slot.host for slot in topology.used()] == ["a", "b", "c", "c"]
    assert (topology.coordinator.address, topology.coordinator.port) == ("d", 7070)


@pytest.mark.parametrize(
    "environ, told",
    [
        ({"TF_CONFIG": "{"}, "is not JSON"),
        ({"TF_CONFIG": "[]"}, 'needs "cluster"'),
        (variable({"workers": ["a:1"]}), "'workers': did you mean 'worker'?"),
        (variable({"worker": ["a:1"]}, "wroker"), "did you mean 'worker'?"),
        (variable({"worker": "a:1"}), "is a list of host:port"),
        (variable({"worker": ["a"]}), "'a' is not host:port"),
        (variable({"worker": ["a:0"]}), "'a:0' is not host:port"),
        (variable({"worker": ["a:1", "a:1"]}), "gives a:1 to two tasks"),
        (variable({"chief": ["a:1", "b:1"]}, "chief"), "2 chiefs"),
        (variable({"ps": ["a:1"]}, "ps"), "nobody would train"),
        (variable({"worker": ["a:1"]}, index=1), "this is worker 1, and the cluster has 1"),
        (variable({"worker": ["a:1"]}, "chief"), "this is chief 0, and the cluster has 0"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, 'has no "task"'),
    ],
)
def test_what_is_wrong_is_named(environ, told):
    with pytest.raises(UsageError) as error:
        role_of(environ)
    assert told in str(error.value)
