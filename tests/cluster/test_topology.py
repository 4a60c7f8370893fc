"""A topology is read as it stands there, and what is wrong in it is named."""

from __future__ import annotations

import sys

import pytest

from cluster.starters.ssh import SSH
from cluster.topology import Slot, from_hosts, load_topology, make_topology, parse_host
from intent.errors import UsageError

WHOLE = """
launcher: ssh
device: gpu
coordinator: {address: 10.0.0.1, port: 7070}
hosts:
  - {name: a, slots: 2, cores: 4, gpus: [1, 3]}
  - b:2
workers: 3
shell: ssh -p 2222 {host}
python: /opt/intent/bin/python
folder: /shared
interface: eth1
environment: {NCCL_DEBUG: INFO, COUNT: 1, SWITCH: true}
elastic: {min_workers: 2, max_workers: 4, discovery: ./hosts.sh}
"""


def test_everything_that_can_be_said(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text(WHOLE)
    topology = load_topology(file)
    slots = [Slot("a", 0, 4, 1), Slot("a", 1, 4, 3), Slot("b", 0, None, 0), Slot("b", 1, None, 1)]
    assert list(topology.slots()) == slots and topology.count() == 3
    assert topology.used() == slots  # elastic training takes all, up to max_workers
    topology.elastic.max_workers = 2
    assert topology.used() == slots[:2]
    assert topology.model_copy(update={"elastic": None}).used() == slots[:3]
    assert topology.shell == ["ssh", "-p", "2222", "{host}"]
    assert topology.environment == {"NCCL_DEBUG": "INFO", "COUNT": "1", "SWITCH": "true"}
    assert (topology.coordinator.address, topology.coordinator.port) == ("10.0.0.1", 7070)
    assert topology.elastic.min_workers == 2 and topology.interface == "eth1"


def test_what_is_not_said():
    assert make_topology({"workers": 3}, "t").used()[2] == Slot("localhost", 2, None, None)
    here = make_topology({"hosts": ["localhost:1", "127.0.0.2:1"]}, "t")
    far = from_hosts("a:2, b")
    assert (here.launcher, far.launcher) == ("local", "ssh")
    assert far.shell == list(SSH) and far.python == sys.executable
    assert [slot.host for slot in far.used()] == ["a", "a", "b"]
    assert make_topology({"elastic": {"discovery": "x"}}, "t").launcher == "ssh"
    assert make_topology({"launcher": "spark", "workers": 2}, "t").used() == []


def test_braces_without_quotes_are_the_hosts_name(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text("hosts: [a]\nshell: [ip, netns, exec, {host}, sh, -c]\n")
    assert load_topology(file).shell[3] == "{host}"


@pytest.mark.parametrize(
    "text, parsed",
    [("a:2", ("a", 2)), ("a", ("a", 1)), ("[fe80::1]:3", ("fe80::1", 3)), ("u@a:2", ("u@a", 2))],
)
def test_a_host_in_short(text, parsed):
    assert tuple(parse_host(text).values()) == parsed


@pytest.mark.parametrize(
    "data, told",
    [
        ({"host": ["a"]}, "unknown key 'host' (t): did you mean 'hosts'?"),
        ({"hosts": [{"nam": "a"}]}, "unknown key 'hosts.0.nam' (t): did you mean 'name'?"),
        ({"elastic": {"least": 1}}, "valid names: min_workers, max_workers, discovery"),
        ({"launcher": "slurm"}, "key 'launcher' (t): Input should be 'local', 'ssh'"),
        ({"hosts": ["a:x"]}, "t: 'a:x' is not host:slots, such as hosta:2"),
        ({"hosts": ["a:0"]}, "'a:0' is not host:slots"),
        ({"hosts": ["a", "a:2"]}, "host a stands there twice"),
        ({"hosts": ["a:2"], "workers": 3}, "3 workers do not fit into 2 slots"),
        ({"hosts": [{"name": "a", "slots": 2, "gpus": [0]}]}, "a slot needs one of its own"),
        ({"launcher": "local", "hosts": ["a"]}, "and a is another: ssh"),
        ({"launcher": "spark"}, "workers is needed"),
        ({"launcher": "ray", "workers": 1, "hosts": ["a"]}, "ray chooses the hosts"),
        ({"launcher": "ssh"}, "there is no host"),
        ({"launcher": "join", "hosts": ["a"]}, "need coordinator.address"),
        ({"hosts": ["a"], "shell": "ssh -T"}, "lacks the word {host}"),
        ({"hosts": ["a"], "elastic": {"min_workers": 2}}, "there are 1 slots"),
        ({"hosts": ["a:4"], "workers": 3, "elastic": {"max_workers": 2}}, "3 workers are more"),
        ({"hosts": ["a"], "elastic": {"min_workers": 2, "max_workers": 1}}, "1 slots"),
    ],
)
def test_what_is_wrong_is_named(data, told):
    with pytest.raises(UsageError) as error:
        make_topology(data, "t")
    assert told in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(UsageError, match="cannot read the topology"):
        load_topology(tmp_path / "none.yaml")
    for text, told in (("a: [", "is not YAML"), ("- a", "expected keys such as 'hosts:'")):
        (tmp_path / "t.yaml").write_text(text)
        with pytest.raises(UsageError, match=told):
            load_topology(tmp_path / "t.yaml")
