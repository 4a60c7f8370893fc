"""Workers on Ray: each in an actor, in a placement group that keeps room for all of them.

Not `horovod.ray`: its executor has a membership of its own, which blacklists hosts and waits ten
minutes for a worker that is frozen. Here Ray gives places, and no more. An actor whose node dies is
made anew by Ray where there is room, and so gives a new slot.
"""

from __future__ import annotations

import os
from typing import Any

from cluster.starter import Relay
from cluster.starters.agents import AgentStarter, agent
from intent.errors import IntentError

ROOM_S = 180.0  # for Ray to find room for all workers (an autoscaler may have to start nodes)
END_S = 10.0  # for the actors to end by themselves


class RayStarter(AgentStarter):
    """Starts workers in Ray actors, which live until `close`.

    Args:
        workers: how many there is to be room for.
        resources: of each, as Ray calls them: {"CPU": 1}, {"CPU": 4, "GPU": 1}.
        address: of the Ray cluster ("auto": the one that this machine belongs to); None for one
            that is started on this machine, and ended at the end. Where this process already uses
            Ray (in a job that was submitted, in a trial of Ray Tune), that is taken.
        folder: to run workers in, where the nodes have it; else they run in Ray's own.
        relay: see AgentStarter.

    Raises IntentError where Ray has no room for so many within ROOM_S.
    """

    def __init__(
        self,
        workers: int,
        resources: dict[str, float] | None = None,
        address: str | None = None,
        folder: str = "",
        relay: Relay | None = None,
    ) -> None:
        import ray
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self._own = not ray.is_initialized()
        if self._own:
            connect(address, workers, resources or {"CPU": 1})
        super().__init__(ray.util.get_node_ip_address(), relay)
        needs = resources or {"CPU": 1}
        self._group = placement_group([needs] * workers, strategy="PACK")
        self._actors: list[Any] = []
        self._serving: list[Any] = []
        try:
            if not self._group.wait(ROOM_S):
                raise IntentError(
                    f"Ray has no room for {workers} workers of {needs} (it has "
                    f"{ray.cluster_resources()}): ask for fewer, or start more nodes"
                )
            kind = ray.remote(_Agent)
            options = {"num_cpus": needs.get("CPU", 0), "num_gpus": needs.get("GPU", 0)}
            options |= {"max_restarts": -1, "max_task_retries": -1}
            for number in range(workers):
                place = PlacementGroupSchedulingStrategy(self._group, number)
                self._actors.append(kind.options(scheduling_strategy=place, **options).remote())
            self._serving = [a.serve.remote(self.call, folder) for a in self._actors]
            self.await_agents(workers, ROOM_S, self._failed)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End what still runs, then the actors; give the room back."""
        import ray
        from ray.util.placement_group import remove_placement_group

        super().close()
        if self._serving:
            ray.wait(self._serving, num_returns=len(self._serving), timeout=END_S)
        for actor in self._actors:
            ray.kill(actor)
        remove_placement_group(self._group)
        if self._own:
            ray.shutdown()

    def _failed(self) -> str:
        """Why an actor has ended, if one has."""
        import ray

        ended, _ = ray.wait(self._serving, num_returns=1, timeout=0)
        for serving in ended:
            try:
                ray.get(serving)
            except Exception as error:
                return f"Ray: a worker's actor failed: {str(error).strip().splitlines()[-1][:300]}"
        return ""


class _Agent:
    """An actor's class."""

    def serve(self, call: tuple[str, int, str], folder: str) -> None:
        """Hold workers until the starter lets go."""
        import ray

        gpus = ",".join(map(str, ray.get_gpu_ids()))
        env = {"CUDA_VISIBLE_DEVICES": gpus} if gpus else {}
        # Ray takes an actor for one core's work and says so to OpenMP; a worker has its own share.
        os.environ.pop("OMP_NUM_THREADS", None)
        here = folder if os.path.isdir(folder) else os.getcwd()
        agent(call, ray.util.get_node_ip_address(), here, env)


def connect(address: str | None, workers: int, resources: dict[str, float]) -> None:
    """Join a Ray cluster, or start one here that has as many slots as are wanted.

    IntentError where it cannot be reached.
    """
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None and "RAY_ADDRESS" not in os.environ:
        cores = max(len(os.sched_getaffinity(0)), round(workers * resources.get("CPU", 0)))
        try:
            # "local", or Ray would look for a cluster that runs here, and refuse to be given cores.
            ray.init("local", num_cpus=cores, include_dashboard=False, **quiet)
        except Exception as error:  # Ray has no class of its own for this
            told = str(error).strip().splitlines()
            raise IntentError(
                f"Ray did not start on this machine ({told[0] if told else type(error).__name__}): "
                "is it overloaded, or short of memory? Then give the same command again later"
            ) from error
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        hint = (
            "" if "RAY_AUTH_MODE" in os.environ else "; if it asks for a token, RAY_AUTH_MODE=token"
        )
        raise IntentError(
            f"cannot reach Ray at {address or 'RAY_ADDRESS'}: {error}{hint}"
        ) from error
