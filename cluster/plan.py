"""What a topology means, before anything is started: who runs where, how, and what goes between."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cluster.addresses import address_towards, interface_of, is_loopback
from cluster.discovery import HostScript
from cluster.starters.ssh import command
from cluster.storage_kind import shared_storage
from cluster.tf_config import KINDS, TRAINING, coordinating
from cluster.topology import Host, Topology
from intent.errors import IntentError

VALUE_BYTES = {"none": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Place:
    """A worker's: its rank at first, its host and number there, its device and its threads."""

    rank: int
    host: str
    local_rank: int
    device: str
    threads: str


@dataclass(frozen=True)
class Port:
    """Who listens where, and who calls."""

    who: str
    port: str
    called_by: str


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes:
        coordinator: where it runs, and by which address workers reach it.
        places: by rank; none where Spark or Ray choose the hosts.
        starts: how a worker gets started, by host ("" for all hosts alike).
        job: what is then run there.
        step: of the gradients, for `Plan.workers` workers; None without a model.
        notes: what one might not expect.
        warnings: what will probably go wrong.
    """

    launcher: str
    device: str
    workers: int
    elastic: str
    coordinator: dict[str, str]
    places: list[Place]
    starts: dict[str, str]
    job: str
    ports: list[Port]
    shared: dict[str, str]
    step: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def make_plan(
    topology: Topology,
    run: str | None = None,
    samples: str | None = None,
    tasks: Mapping[str, list[str]] | None = None,
) -> Plan:
    """The plan of a topology.

    Args:
        run, samples: the run folder and the samples, where they are known already.
        tasks: the cluster of TF_CONFIG, where the topology comes from there.

    Asks a discovery script once; IntentError where it fails.
    """
    topology = _with_found_hosts(topology)
    words = [topology.python if topology.launcher == "ssh" else "python", "-m", "jobs.train"]
    if topology.launcher == "join":
        words = ["intent", "train"]
    words += ["--samples", samples or "SAMPLES", "--run", run or "RUN"]
    address = _address(topology)
    shown = str(topology.coordinator.port or "any free one")
    return Plan(
        launcher=topology.launcher,
        device=topology.device,
        workers=len(topology.used()) or topology.count(),
        elastic=_elastic(topology),
        coordinator={"host": _runs(topology, tasks), "address": address, "port": shown},
        places=list(_places(topology)),
        starts=_starts(topology),
        job=shlex.join(words),
        ports=list(_ports(topology, shown)),
        shared={"run": run or "RUN", "samples": samples or "SAMPLES"},
        notes=list(_notes(topology, tasks)),
        warnings=list(_warnings(topology, run, samples, address)),
    )


def with_step(plan: Plan, weights: int, compression: str = "none") -> Plan:
    """The plan with what a step sends for a model of `weights` trainable weights.

    A ring passes each gradient around twice but for one's own part: of B bytes, each of n workers
    sends and receives 2 B (n - 1) / n.
    """
    size = weights * VALUE_BYTES[compression]
    sent = 2 * size * (plan.workers - 1) / plan.workers
    step = {"weights": weights, "compression": compression, "gradient_bytes": size}
    return replace(plan, step={**step, "sent_bytes_per_worker": round(sent)})


def counted(number: int, word: str) -> str:
    """Such as "1 worker", "2 workers"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _with_found_hosts(topology: Topology) -> Topology:
    elastic = topology.elastic
    if not (elastic and elastic.discovery):
        return topology
    found = HostScript(elastic.discovery, elastic.max_workers)()
    known = {host.name: host for host in topology.hosts}
    hosts = [
        (known[name] if name in known else Host(name=name)).model_copy(update={"slots": slots})
        for name, slots in found.items()
    ]
    return topology.model_copy(update={"hosts": hosts})


def _address(topology: Topology) -> str:
    """By which workers reach the coordinator; "" where it cannot be known yet."""
    names = [host.name for host in topology.hosts]
    if topology.coordinator.address or not names:
        return topology.coordinator.address or ""
    far = [name for name in names if not is_loopback(name)]
    try:
        return address_towards(far[0]) if far else "127.0.0.1"
    except IntentError:
        return ""


def _runs(topology: Topology, tasks: Mapping[str, list[str]] | None) -> str:
    if tasks is not None:
        return f"{coordinating(tasks)[0][0]} 0"
    kind = {"spark": "the Spark driver", "ray": "the Ray driver"}.get(topology.launcher)
    return f"this machine, in {kind or '`intent train`'}"


def _elastic(topology: Topology) -> str:
    elastic = topology.elastic
    if elastic is None:
        return "no: the first worker that is lost ends the training"
    most = elastic.max_workers or "any number"
    found = f", hosts from {elastic.discovery}" if elastic.discovery else ""
    return f"from {counted(elastic.min_workers, 'worker')} to {most}{found}"


def _places(topology: Topology) -> Iterator[Place]:
    for rank, slot in enumerate(topology.used()):
        device = "cpu" if slot.gpu is None else f"gpu {slot.gpu}"
        threads = str(slot.cores) if slot.cores else "a share"
        yield Place(rank, slot.host, slot.number, device, threads)


def _starts(topology: Topology) -> dict[str, str]:
    if topology.launcher == "ssh":
        folder = topology.folder or os.getcwd()
        hosts = list(dict.fromkeys(slot.host for slot in topology.used()))
        return {
            host: shlex.join(command(topology.shell, host, topology.python, folder))
            for host in hosts
        }
    how = {
        "local": "a process of this machine",
        "spark": "a process in a task of one Spark job, which asks for so many tasks at once",
        "ray": "a process in an actor, in a placement group with room for all of them",
        "join": "somebody else starts it there, with TF_CONFIG in its environment",
    }
    return {"": how[topology.launcher]}


def _ports(topology: Topology, port: str) -> Iterator[Port]:
    yield Port("coordinator: membership", port, "workers")
    yield Port("coordinator: Horovod's rendezvous", "a free one, new after each change", "workers")
    if topology.launcher in ("spark", "ray"):
        yield Port("coordinator: starts and ends workers", "any free one", "their places")
    if topology.launcher == "ssh":
        yield Port("hosts: the remote shell", "as it is set up (ssh: 22)", "coordinator")
    yield Port("workers: gradients", "free ones", "workers")


def _notes(topology: Topology, tasks: Mapping[str, list[str]] | None) -> Iterator[str]:
    spare = sum(host.slots for host in topology.hosts) - len(topology.used())
    if spare > 0:
        does = "stays" if spare == 1 else "stay"
        yield f"{counted(spare, 'slot')} {does} empty"
    if topology.launcher == "ssh":
        yield "a worker's environment, its token too, goes over stdin: no command line has it"
    if tasks is None:
        return
    (kind, _), _ = coordinating(tasks)
    if kind == "ps":
        yield "ps 0 is the coordinator; it holds no weights, since training is synchronous"
    else:
        yield f"{kind} 0 is the coordinator, and trains as well"
    for idle in KINDS:
        count = len(tasks.get(idle, ())) - (idle == "ps")
        if idle not in TRAINING and count > 0:
            does = "has" if count == 1 else "have"
            yield f"{counted(count, f'{idle} task')} {does} nothing to do in synchronous training"
    yield "of the tasks' ports only the coordinator's is used"


def _warnings(
    topology: Topology, run: str | None, samples: str | None, address: str
) -> Iterator[str]:
    names = [host.name for host in topology.hosts]
    several = len(set(names)) > 1 and not all(is_loopback(name) for name in names)
    several = several or topology.launcher in ("spark", "ray")
    for what, place in (("run folder", run), ("samples", samples)):
        if place and several and (why := shared_storage(place)):
            yield f"the {what} {place} {why}: all hosts must see it under this path"
    cores = len(os.sched_getaffinity(0))
    for host in topology.hosts:
        wanted = host.slots * (host.cores or 1)
        if is_loopback(host.name) and wanted > cores:
            yield f"{host.name} is to give {wanted} cores, and this machine has {cores}"
    if topology.launcher == "ssh" and not address:
        yield "no route to the hosts is known by their names: set coordinator.address"
    given = topology.coordinator.address
    if given and topology.launcher == "ssh" and not _ours(given):
        yield f"coordinator.address {given} is no address of this machine"
    if given and is_loopback(given) and several:
        yield f"coordinator.address {given} is loopback, which means another machine on each host"
    elastic = topology.elastic
    if elastic and names and elastic.min_workers == sum(host.slots for host in topology.hosts):
        yield "elastic.min_workers is the number of slots: no worker can be done without"


def _ours(name: str) -> bool:
    """Whether an address or a name is this machine's."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(name, None)}
        return any(interface_of(address) for address in found)
    except (IntentError, OSError):
        return False
