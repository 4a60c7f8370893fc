"""Where training runs: a coordinator, and workers on hosts with slots. One YAML file says it.

The coordinator has the parameter server's role in what is left of it when training is synchronous:
it starts and watches the workers, decides who belongs to them, and lets them meet. It is the
process that runs `intent train`, and needs no slot. The weights are with the workers: rank 0, the
first of them, holds the authoritative state and writes the checkpoints.
"""

from __future__ import annotations

import difflib
import shlex
import sys
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from cluster.addresses import is_loopback
from cluster.starters.ssh import HOST, SSH
from intent.config import Section
from intent.errors import UsageError

Launcher = Literal["local", "ssh", "spark", "ray", "join"]


class Host(Section):
    """A machine with room for workers."""

    name: str = Field(min_length=1, description="as the remote shell knows it")
    slots: PositiveInt = Field(1, description="workers that it has room for")
    cores: PositiveInt | None = Field(
        None, description="of each slot (default: the host's cores, shared by its slots)"
    )
    gpus: list[int] | None = Field(
        None, description="the GPU of each slot, for device gpu (default: 0, 1, ...)"
    )

    @model_validator(mode="after")
    def _a_gpu_for_each_slot(self) -> Self:
        if self.gpus is not None and len(set(self.gpus)) != self.slots:
            raise ValueError(
                f"host {self.name} has {self.slots} slot(s) and the GPUs {self.gpus}: a slot needs "
                "one of its own"
            )
        return self


class Coordinator(Section):
    """The process that starts and watches, on the machine where `intent train` is called."""

    address: str | None = Field(
        None, description="by which the hosts reach that machine (default: by its routes)"
    )
    port: int = Field(0, ge=0, le=65535, description="where workers call (0: any free one)")


class Elastic(Section):
    """Training goes on without workers that are lost, and with those that come."""

    min_workers: PositiveInt = Field(1, description="below which training waits, then ends")
    max_workers: PositiveInt | None = Field(None, description="that are used (default: all slots)")
    discovery: str | None = Field(
        None, description="script that prints host:slots lines; asked again and again"
    )


class Topology(Section):
    """A coordinator and its workers."""

    launcher: Launcher = Field("local", description="what starts the workers")
    device: Literal["cpu", "gpu"] = "cpu"
    coordinator: Coordinator = Field(default_factory=Coordinator)
    hosts: list[Host] = Field([], description="in the order of ranks; a:2 is host a with 2 slots")
    workers: PositiveInt | None = Field(
        None, description="how many (default: one for each slot); elastic training takes all slots"
    )
    shell: list[str] = Field(list(SSH), description="remote shell: the words before a command")
    python: str = Field(sys.executable, description="interpreter on the hosts")
    folder: str = Field("", description="folder on the hosts in which workers run")
    interface: str | None = Field(
        None, description="between workers, such as eth0 (default: the way to the coordinator)"
    )
    environment: dict[str, str] = Field({}, description="variables of every worker")
    elastic: Elastic | None = None

    @field_validator("hosts", mode="before")
    @classmethod
    def _short_hosts(cls, hosts: Any) -> Any:
        if isinstance(hosts, list):
            return [parse_host(host) if isinstance(host, str) else host for host in hosts]
        return hosts

    @field_validator("shell", mode="before")
    @classmethod
    def _words(cls, shell: Any) -> Any:
        if isinstance(shell, list):  # {host} without quotes is a mapping in YAML
            return [HOST if word == {"host": None} else word for word in shell]
        return shlex.split(shell) if isinstance(shell, str) else shell

    @field_validator("environment", mode="before")
    @classmethod
    def _text(cls, environment: Any) -> Any:
        if isinstance(environment, dict):
            return {
                str(k): v if isinstance(v, str) else yaml_word(v) for k, v in environment.items()
            }
        return environment

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self

    def slots(self) -> Iterator[Slot]:
        """The slots in the order of ranks, also those that are not used at first."""
        for host in self.hosts:
            for number in range(host.slots):
                gpu = (host.gpus or range(host.slots))[number] if self.device == "gpu" else None
                yield Slot(host.name, number, host.cores, gpu)

    def count(self) -> int:
        """How many workers are asked for; without elastic training, how many there are."""
        return self.workers or sum(host.slots for host in self.hosts)

    def used(self) -> list[Slot]:
        """The slots of the first workers, by rank; none where the launcher chooses the hosts.

        Elastic training takes all that there are, up to elastic.max_workers.
        """
        most = self.elastic.max_workers if self.elastic else self.count()
        return list(self.slots())[:most]


@dataclass(frozen=True)
class Slot:
    """Room for a worker: on a host, its number there, its cores (None: a share) and its GPU."""

    host: str
    number: int
    cores: int | None
    gpu: int | None


def load_topology(file: str | Path) -> Topology:
    """Read a YAML file.

    Raises UsageError that names the key, the file and the nearest valid name.
    """
    try:
        data = yaml.safe_load(Path(file).read_text()) or {}
    except OSError as error:
        raise UsageError(f"cannot read the topology {file}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{file}: expected keys such as 'hosts:', got {data!r}")
    return make_topology(data, str(file))


def make_topology(data: dict[str, Any], origin: str) -> Topology:
    """The topology that `data` says; `origin` stands in errors (UsageError).

    Without a launcher it is ssh where a host is another machine or a script finds them, else local.
    Local workers without hosts are on localhost.
    """
    try:
        return Topology.model_validate(_with_defaults(data))
    except ValidationError as error:
        raise UsageError(_explain(error, origin)) from None


def from_hosts(hosts: str, workers: int | None = None, **more: Any) -> Topology:
    """The topology of `--hosts a:2,b:2`. UsageError where it cannot be read."""
    words = [word.strip() for word in hosts.split(",") if word.strip()]
    return make_topology({"hosts": words, "workers": workers, **more}, "--hosts")


def parse_host(text: str) -> dict[str, Any]:
    """{"name", "slots"} of "a:2", "a" or "[fe80::1]:2". ValueError where it is neither."""
    name, colon, slots = text.strip().rpartition(":")
    if not colon or slots.endswith("]"):
        name, slots = text.strip(), "1"
    name = name.removeprefix("[").removesuffix("]")
    if not name or not slots.isdigit() or int(slots) < 1 or any(c.isspace() for c in name):
        raise ValueError(f"{text!r} is not host:slots, such as hosta:2")
    return {"name": name, "slots": int(slots)}


def yaml_word(value: Any) -> str:
    """A value as one writes it in YAML: true, 1, text."""
    return yaml.safe_dump(value).removesuffix("...\n").strip()


def _with_defaults(data: dict[str, Any]) -> dict[str, Any]:
    data = dict(data)
    hosts = data.get("hosts") or []
    if "launcher" not in data and isinstance(hosts, list):
        names = [str(h.get("name", "") if isinstance(h, dict) else h) for h in hosts]
        names = [name.rpartition(":")[0] or name for name in names]
        elastic = data.get("elastic")
        searched = isinstance(elastic, dict) and elastic.get("discovery")
        far = searched or not all(is_loopback(name) for name in names)
        data["launcher"] = "ssh" if far else "local"
    if data.get("launcher") == "local" and not hosts:
        data["hosts"] = [{"name": "localhost", "slots": data.get("workers") or 1}]
    return data


def _problems(topology: Topology) -> Iterator[str]:
    """What does not go together."""
    names = [host.name for host in topology.hosts]
    slots, workers = sum(host.slots for host in topology.hosts), topology.count()
    elastic = topology.elastic
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"host {twice[0]} stands there twice; give it once, with all its slots"
    if topology.launcher in ("spark", "ray"):
        if names:
            yield f"{topology.launcher} chooses the hosts: leave them out, and give workers"
        if topology.workers is None:
            yield f"workers is needed: {topology.launcher} must know for how many to find room"
    elif not names and not (elastic and elastic.discovery):
        yield "there is no host: give hosts, or a discovery script under elastic"
    elif names and workers > slots:
        yield f"{workers} workers do not fit into {slots} slots"
    if topology.launcher == "local" and (far := [n for n in names if not is_loopback(n)]):
        yield f"launcher local starts workers on this machine alone, and {far[0]} is another: ssh"
    coordinator = topology.coordinator
    if topology.launcher == "join" and not (coordinator.address and coordinator.port):
        yield "workers that come by themselves need coordinator.address and coordinator.port"
    if topology.launcher == "ssh" and not any(HOST in word for word in topology.shell):
        yield f"the remote shell {shlex.join(topology.shell)!r} lacks the word {HOST}"
    if elastic and names and elastic.min_workers > slots and not elastic.discovery:
        yield f"elastic.min_workers is {elastic.min_workers}, and there are {slots} slots"
    if elastic and elastic.max_workers and elastic.max_workers < elastic.min_workers:
        yield f"elastic.max_workers={elastic.max_workers} is less than min_workers"
    if elastic and elastic.max_workers and topology.workers and workers > elastic.max_workers:
        yield f"{workers} workers are more than elastic.max_workers={elastic.max_workers}"


def _explain(error: ValidationError, origin: str) -> str:
    """The first problem, in one line."""
    problems = error.errors()  # a name that is wrong is told before one that is missing for it
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    path = problem["loc"]
    key = ".".join(map(str, path))
    if problem["type"] == "extra_forbidden":
        valid = list(_section(path[:-1]).model_fields)
        near = difflib.get_close_matches(str(path[-1]), valid, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"valid names: {', '.join(valid)}"
        return f"unknown key {key!r} ({origin}): {hint}"
    said = problem["msg"].removeprefix("Value error, ")
    if not path or problem["type"] == "value_error":
        return f"{origin}: {said}"
    return f"key {key!r} ({origin}): {said}; got {problem['input']!r}"


def _section(path: Iterable[str | int]) -> type[BaseModel]:
    """The model that stands at `path` in a topology."""
    section: Any = Topology
    for part in path:
        if isinstance(part, str) and part in section.model_fields:
            kinds = [section.model_fields[part].annotation]
            while kinds and not (isinstance(kinds[-1], type) and issubclass(kinds[-1], BaseModel)):
                kinds = [*kinds[:-1], *typing.get_args(kinds[-1])]
                kinds = [k for k in kinds if k is not type(None)]
            section = kinds[-1] if kinds else section
    return section
