"""Start a job as the workers of a topology, and watch over them to its end."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from cluster.addresses import address_towards
from cluster.discovery import HostScript
from cluster.horovod import SILENCE_END_S, STALL_VARIABLE, unusable
from cluster.policy import Policy
from cluster.processes import Outcome
from cluster.starter import Relay, Starter
from cluster.starters.local import LocalStarter
from cluster.supervisor import Discover, run
from cluster.topology import Slot, Topology, make_topology
from intent.errors import IntentError, UsageError

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def launch_here(
    np: int, argv: Sequence[str], env: Mapping[str, str] | None = None, elastic: bool = False
) -> Outcome:
    """Run `argv` as `np` workers on this machine; see `launch`."""
    if np < 1:
        raise UsageError(f"the number of processes must be at least 1, got {np}")
    data = {"launcher": "local", "workers": np, "elastic": {} if elastic else None}
    return launch(make_topology(data, "--np"), argv, env)


def launch(
    topology: Topology,
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    token: str = "",
) -> Outcome:
    """Run `argv` as the workers of `topology` until it has ended everywhere.

    Args:
        argv: the job; sys.executable as its first word is each host's own Python.
        env: variables on top of each host's own and of the topology's.
        token: that workers which come by themselves know.

    Raises IntentError where Horovod is missing, where no worker can be started, or where the
    coordinator has no address that the hosts can reach.
    """
    if importlib.util.find_spec("horovod") is None:  # importing it would bring TensorFlow here too
        raise unusable("not installed")
    start, discover, address = starter_for(topology)
    room = [slot.host for slot in topology.slots()]
    if discover is not None:
        room = [host for host, slots in discover().items() for _ in range(slots)]
    elastic = topology.elastic
    wanted = (elastic.max_workers or len(room)) if elastic else topology.count()
    hosts = room[:wanted]
    if not hosts:
        raise IntentError(f"no host was found by {elastic.discovery}: it printed no host:slots")
    return run(
        start,
        hosts,
        argv,
        partial(_of_slot, topology, _common() | topology.environment | dict(env or {})),
        policy_of(topology, {**os.environ, **topology.environment, **(env or {})}),
        address=topology.coordinator.address or address or address_towards(hosts[0]),
        port=topology.coordinator.port,
        token=token,
        discover=discover if elastic else None,
    )


def starter_for(
    topology: Topology,
) -> tuple[Callable[[Relay], Starter], Discover | None, str]:
    """(what starts the workers, once it is given the relay of their output; what tells the hosts,
    where the topology does not; the address of this process, where that is known).

    Spark and Ray find the hosts, so that they are asked for room here already: IntentError where
    they have none.
    """
    folder, elastic = topology.folder or os.getcwd(), topology.elastic
    if topology.launcher in ("spark", "ray"):
        from cluster.starters.agents import AgentStarter

        if topology.launcher == "spark":
            from cluster.starters.spark import SparkStarter as Agents
        else:
            from cluster.starters.ray_cluster import RayStarter as Agents
        # Ray must be told of GPUs; Spark is by its own settings (spark.task.resource.gpu.amount).
        more = {"resources": _of_ray(topology)} if topology.launcher == "ray" else {}
        agents: AgentStarter = Agents(topology.count(), folder=folder, **more)

        def hear(relay: Relay) -> Starter:
            agents.relay = relay
            return agents

        return hear, agents.discover, agents.call[0]
    if topology.launcher == "ssh":
        from cluster.starters.ssh import SshStarter

        slots = {host.name: host.slots for host in topology.hosts}
        start = partial(SshStarter, topology.shell, topology.python, folder, slots)
        script = elastic.discovery if elastic else None
        return start, HostScript(script, elastic.max_workers) if script else None, ""
    return partial(LocalStarter, True), None, "127.0.0.1"


def policy_of(topology: Topology, env: Mapping[str, str]) -> Policy:
    """What the supervisor allows for a topology.

    HOROVOD_STALL_SHUTDOWN_TIME_SECONDS in `env` says how long ranks wait for one that is
    alive and does not come.
    """
    elastic = topology.elastic
    least = elastic.min_workers if elastic else topology.count()
    policy = Policy(elastic=elastic is not None, least=least)
    if topology.launcher == "join":  # they check the content of the samples themselves
        policy = replace(policy, comes=True, join_s=1800.0)
    if STALL_VARIABLE in env:
        limit = float(env[STALL_VARIABLE])
        return replace(policy, stall_s=limit, first_stall_s=limit)
    return policy


def _of_ray(topology: Topology) -> dict[str, float]:
    """What Ray is to keep free for each worker."""
    return {"CPU": 1, "GPU": 1} if topology.device == "gpu" else {"CPU": 1}


def _common() -> dict[str, str]:
    """Settings of every worker that the user's own environment may override."""
    return {
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(SILENCE_END_S),
        "HOROVOD_LOG_LEVEL": "fatal",  # the supervisor says who was lost, in words
        "PYTHONUNBUFFERED": "1",
    }


def _of_slot(
    topology: Topology, common: Mapping[str, str], host: str, number: int
) -> dict[str, str]:
    """The environment of the worker in a slot of a host: its cores, its GPU, its interface."""
    env = dict(common)
    known = (slot for slot in topology.slots() if (slot.host, slot.number) == (host, number))
    slot = next(known, Slot(host, number, None, number))  # a host that was found, not given
    cores = slot.cores
    if cores is None and topology.launcher == "local":
        cores = max(1, len(os.sched_getaffinity(0)) // topology.count())
    if cores is not None:
        env |= dict.fromkeys(THREADS, str(cores))
    if topology.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = "-1"
    elif slot.gpu is not None and topology.launcher not in ("spark", "ray"):  # which choose it
        env["CUDA_VISIBLE_DEVICES"] = str(slot.gpu)
    if topology.interface:
        env["HOROVOD_GLOO_IFACE"] = topology.interface
    if topology.launcher == "local":  # where this process's environment is theirs as well
        env = {name: os.environ.get(name, value) for name, value in env.items()}
    return env
