"""TF_CONFIG: the cluster as TensorFlow's own tools describe it to each of its processes.

    {"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]},
     "task": {"type": "worker", "index": 0}}

Every process is started by somebody else (Kubernetes, say) and finds its role here. One task is the
coordinator: the first ps, else the chief, else worker 0. A ps only coordinates; a chief or a worker
0 also trains, as it does in TensorFlow. Training is synchronous and data-parallel: no weights are
held for others, so further ps tasks have nothing to do, and end at once. So does an evaluator: the
workers evaluate together.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cluster.topology import Topology, make_topology
from intent.errors import UsageError

VARIABLE = "TF_CONFIG"
KINDS = ("chief", "worker", "ps", "evaluator")
TRAINING = ("chief", "worker")


@dataclass(frozen=True)
class Role:
    """What this process is.

    Attributes:
        task: such as "worker 1", as TF_CONFIG calls it.
        kind: the coordinator supervises, a worker calls it, an idle task ends at once.
        trains: a worker does; a coordinator that is a chief or a worker too starts a worker
            on its own host.
        number: of this process among those that train, chief first; None where it does not.
        workers: how many train, this one counted.
        address, port: of the coordinator.
        why: for an idle task, why it has nothing to do.
    """

    task: str
    kind: Literal["coordinator", "worker", "idle"]
    trains: bool
    number: int | None
    workers: int
    address: str
    port: int
    why: str = ""


def role_of(environ: Mapping[str, str] = os.environ) -> Role | None:
    """This process's role; None without TF_CONFIG. UsageError where it cannot be understood."""
    if not environ.get(VARIABLE):
        return None
    cluster, task = read(environ[VARIABLE])
    if task is None:
        raise UsageError(f'{VARIABLE} has no "task": which one is this process?')
    kind, index = task
    chosen, address = coordinating(cluster)
    host, port = split_address(address)
    training = [(k, i) for k in TRAINING for i in range(len(cluster.get(k, ())))]
    trains = task in training
    role: Literal["coordinator", "worker", "idle"] = "worker" if trains else "idle"
    why = ""
    if task == chosen:
        role = "coordinator"
    elif kind == "ps":
        why = "training is synchronous, so no further parameter server has anything to do"
    elif kind == "evaluator":
        why = "the workers evaluate together, so an evaluator has nothing to do"
    number = training.index(task) if trains else None
    return Role(f"{kind} {index}", role, trains, number, len(training), host, port, why)


def topology_of(environ: Mapping[str, str] = os.environ) -> Topology:
    """The same cluster as a topology, whose workers come by themselves (launcher join)."""
    cluster, _ = read(environ.get(VARIABLE, ""))
    host, port = split_address(coordinating(cluster)[1])
    slots: dict[str, int] = {}
    for kind in TRAINING:
        for address in cluster.get(kind, ()):
            name = split_address(address)[0]
            slots[name] = slots.get(name, 0) + 1
    data = {
        "launcher": "join",
        "coordinator": {"address": host, "port": port},
        "hosts": [{"name": name, "slots": number} for name, number in slots.items()],
    }
    return make_topology(data, VARIABLE)


def read(text: str) -> tuple[dict[str, list[str]], tuple[str, int] | None]:
    """(addresses of each kind of task, (kind, index) of this one or None). UsageError."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{VARIABLE} is not JSON ({error}); got {text[:200]!r}") from error
    if not isinstance(data, dict) or not isinstance(data.get("cluster"), dict):
        raise UsageError(f'{VARIABLE} needs "cluster": {{"worker": ["host:port", ...]}}')
    cluster = data["cluster"]
    for kind, addresses in cluster.items():
        _known(kind)
        if not isinstance(addresses, list) or not all(isinstance(a, str) for a in addresses):
            raise UsageError(f"{VARIABLE}: {kind} is a list of host:port; got {addresses!r}")
        for address in addresses:
            split_address(address)
    everyone = [address for kind in KINDS for address in cluster.get(kind, ())]
    if twice := [address for address in everyone if everyone.count(address) > 1]:
        raise UsageError(f"{VARIABLE} gives {twice[0]} to two tasks; each needs a port of its own")
    if len(cluster.get("chief", ())) > 1:
        raise UsageError(f"{VARIABLE} has {len(cluster['chief'])} chiefs; there can be one")
    if not any(cluster.get(kind) for kind in TRAINING):
        raise UsageError(f"{VARIABLE} has neither a chief nor a worker: nobody would train")
    return cluster, _task(data.get("task"), cluster)


def coordinating(cluster: Mapping[str, list[str]]) -> tuple[tuple[str, int], str]:
    """((kind, index), address) of the task that coordinates."""
    kind = next(kind for kind in ("ps", "chief", "worker") if cluster.get(kind))
    return (kind, 0), cluster[kind][0]


def split_address(address: str) -> tuple[str, int]:
    """(host, port) of "host:port". UsageError where it is something else."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{VARIABLE}: {address!r} is not host:port, such as hosta:7070")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _task(task: Any, cluster: Mapping[str, list[str]]) -> tuple[str, int] | None:
    if not task:
        return None
    if not isinstance(task, dict) or "type" not in task:
        raise UsageError(f'{VARIABLE}: "task" is {{"type": ..., "index": ...}}; got {task!r}')
    kind, index = _known(task["type"]), task.get("index", 0)
    if isinstance(index, str) and index.isdigit():  # as templates of YAML write it
        index = int(index)
    number = len(cluster.get(kind, ()))
    if kind == "evaluator":  # which TensorFlow does not count into the cluster
        number = max(number, 1)
    if not isinstance(index, int) or not 0 <= index < number:
        raise UsageError(f"{VARIABLE}: this is {kind} {index!r}, and the cluster has {number}")
    return kind, index


def _known(kind: Any) -> str:
    if kind in KINDS:
        return kind
    near = difflib.get_close_matches(str(kind), KINDS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(KINDS)}"
    raise UsageError(f"{VARIABLE}: there is no task type {kind!r}: {hint}")
