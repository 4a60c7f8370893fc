"""From the flags of a training command to the workers that run it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.processes import Outcome, end_with_launcher
from intent import storage
from intent.errors import IntentError, UsageError

if TYPE_CHECKING:
    from cluster.tf_config import Role
    from cluster.topology import Topology
    from intent.config import IntentConfig

PLACE = "INTENT_PLACE"  # of a worker that the coordinating task of TF_CONFIG starts beside itself
PATIENCE_S = 600.0  # for the coordinator of TF_CONFIG to be there


@dataclass(frozen=True)
class Where:
    """The flags that say where a command runs."""

    np: int | None = None
    hosts: str | None = None
    topology: Path | None = None
    launcher: str | None = None
    elastic: bool = False
    min_np: int | None = None
    max_np: int | None = None
    host_discovery_script: Path | None = None
    timeline: Path | None = None


def start_workers(where: Where, arguments: Callable[[], Sequence[str]]) -> Outcome | None:
    """Run `python -m jobs.train ARGUMENTS` as workers, if the flags or TF_CONFIG say so.

    None: this process itself trains, alone or as a worker. `arguments` is called if workers are to
    be started, and may raise what speaks against that. UsageError for flags that contradict.
    """
    if "HOROVOD_RANK" in os.environ or "INTENT_MEETING" in os.environ:
        return None
    end_with_launcher()  # a trial of a sweep has one, though it is no worker
    role = _role()
    places = (where.np, where.hosts, where.topology, where.launcher, where.host_discovery_script)
    if role is not None and any(place is not None for place in places):
        raise UsageError("TF_CONFIG says where training runs, and so do the flags: unset one")
    topology = topology_of(where) if role is None else None
    if role is not None and role.kind == "idle":
        return Outcome(0, f"{role.task} has nothing to do: {role.why}")
    if role is not None and role.kind == "coordinator" and PLACE not in os.environ:
        return _coordinate(role, _elastic(where), arguments())
    if topology is None:
        if where.timeline is not None and role is None:
            raise UsageError("--timeline shows what several processes do: give --np 2 or more")
        return None
    from cluster.launch import launch

    argv = [sys.executable, "-m", "jobs.train", *arguments()]
    return launch(topology, argv, _environment(where))


@contextmanager
def as_worker() -> Iterator[None]:
    """A block of training, as a supervisor's worker if this process is one."""
    from cluster.endings import CRASHED
    from cluster.member import called_home

    member, role, came = called_home(), None, False
    if member is None and (role := _role()) is not None:
        from cluster.member import come

        address = f"{role.address}:{role.port}"
        member, came = come(address, _token(), role.number, PATIENCE_S), True
    status = 1
    try:
        yield
        status = 0
    except IntentError as error:
        status = error.exit_status
        raise
    except Exception as error:
        if member is None or isinstance(error, OSError):  # a full disk is told in words
            raise
        # Not 1, by which a worker says that something is wrong for all of them.
        traceback.print_exc()
        status = CRASHED
        raise SystemExit(CRASHED) from None
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        raise
    finally:
        if came:
            member.end(status)


def topology_of(where: Where) -> Topology | None:
    """The topology that the flags say; None where they say nothing of the kind."""
    if where.np is not None and where.np < 1:
        raise UsageError(f"--np is the number of processes, at least 1; got {where.np}")
    elastic = _elastic(where)
    if where.topology is not None:
        for flag in ("hosts", "launcher", "np"):
            if getattr(where, flag) is not None:
                raise UsageError(f"--{flag} and --topology both say where training runs: give one")
        if elastic is not None:
            raise UsageError("--topology has its own section elastic: change that")
        from cluster.topology import load_topology

        return load_topology(where.topology)
    more: dict[str, Any] = {"launcher": where.launcher} if where.launcher else {}
    more |= {} if elastic is None else {"elastic": elastic}
    if elastic is None and not where.launcher and not where.hosts and (where.np or 1) == 1:
        return None
    from cluster.topology import from_hosts, make_topology

    if where.hosts is not None:
        return from_hosts(where.hosts, where.np, **more)
    if elastic is not None and "discovery" in elastic:
        workers = {} if where.np is None else {"workers": where.np}
        return make_topology(more | workers, "--host-discovery-script")
    return make_topology(more | {"workers": where.np or 1}, "--np")


def worker_arguments(samples: str, run: str, settings: IntentConfig, as_json: bool) -> list[str]:
    """A command line that needs no file of this machine but the samples and the run."""
    words = ["--samples", storage.absolute(samples), "--run", storage.absolute(run)]
    for key, value in _changed(settings.model_dump(mode="json", exclude_defaults=True)):
        words += ["--set", f"{key}={json.dumps(value)}"]
    return [*words, "--json"] if as_json else words


def _changed(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """("train.epochs", 3) of every setting that is not the default."""
    for section, fields in values.items():
        for name, value in fields.items():
            yield f"{section}.{name}", value


def _elastic(where: Where) -> dict[str, Any] | None:
    """The topology's section elastic; None where no flag asks for it."""
    script = where.host_discovery_script
    found = {
        "min_workers": where.min_np,
        "max_workers": where.max_np,
        "discovery": str(script.absolute()) if script else None,
    }
    found = {name: value for name, value in found.items() if value is not None}
    return found if found or where.elastic else None


def _environment(where: Where) -> dict[str, str]:
    return {"HOROVOD_TIMELINE": str(where.timeline.absolute())} if where.timeline else {}


def _role() -> Role | None:
    """What TF_CONFIG makes of this process, where it is one of several."""
    if not os.environ.get("TF_CONFIG"):
        return None
    from cluster.tf_config import role_of

    role = role_of()
    return role if role is not None and (role.workers > 1 or not role.trains) else None


def _token() -> str:
    """What the processes of TF_CONFIG know in common: INTENT_MEETING_TOKEN, else the cluster."""
    cluster = json.dumps(json.loads(os.environ["TF_CONFIG"])["cluster"], sort_keys=True)
    return os.environ.get("INTENT_MEETING_TOKEN") or hashlib.sha256(cluster.encode()).hexdigest()


def _coordinate(role: Role, elastic: dict[str, Any] | None, arguments: Sequence[str]) -> Outcome:
    """Watch over workers that come by themselves, and train beside that where the role says so."""
    from cluster.launch import launch
    from cluster.tf_config import topology_of
    from cluster.topology import Elastic

    argv = [sys.executable, "-m", "jobs.train", *arguments]
    topology = topology_of()
    if elastic is not None:
        topology = topology.model_copy(update={"elastic": Elastic(**elastic)})
    beside = None
    if role.trains:
        beside = subprocess.Popen(argv, env={**os.environ, PLACE: str(role.number)})
    try:
        return launch(topology, argv, token=_token())
    finally:
        if beside is not None:
            try:
                beside.wait(timeout=10)
            except subprocess.TimeoutExpired:
                beside.kill()
