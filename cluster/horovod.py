"""Horovod: the communicator of several processes, and their start on one machine.

Horovod reaches only what it is given here: raw tf.Variables and tensors. Its Keras optimizer and
callbacks do not work with Keras 3.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy

from cluster.member import called_home
from cluster.processes import Outcome, end_with_launcher, run_ranks
from cluster.watchdog import Watchdog
from intent.errors import IntentError, UsageError
from intent.training.comm import Communicator, PeerLost, Solo

if TYPE_CHECKING:
    import tensorflow as tf

# How long a rank waits for others before it ends (seconds). The first bounds a rank that is alive
# but does not come to a reduction (it must leave time for the compilation in the first step), the
# second one that is frozen or out of reach, whose background thread no longer answers either.
STALL_END_S, SILENCE_END_S = 120, 30
STALL_VARIABLE = "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS"


class HorovodCommunicator:
    """Collectives over the processes that horovodrun or `launch` started."""

    elastic = False

    rank: int
    size: int

    def __init__(self, watch: Watchdog | None = None) -> None:
        self._hvd = _horovod()
        self._initialize()
        limit = float(os.environ.get(STALL_VARIABLE, STALL_END_S))
        self._watch = watch or Watchdog(self.rank, limit)

    def _initialize(self) -> None:
        self._hvd.init()
        self.rank, self.size = self._hvd.rank(), self._hvd.size()

    def allreduce(self, tensors: Sequence[tf.Tensor], name: str = "allreduce") -> list[tf.Tensor]:
        """Sums over ranks, fused into few messages. Call what it is compiled into in a `guard`."""
        # Ranks meet by the operation's name. Horovod would make it from names in the graph, which
        # may be another one on each rank: a step is compiled for each length of windows.
        op = self._hvd.Sum
        return list(self._hvd.grouped_allreduce(list(tensors), op=op, name=name))

    def maximum(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """The largest over ranks, element by element."""
        return self._hvd.allreduce(tensor, op=self._hvd.Max, name=name)

    def exchange(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """Row r of [size, ...] goes to rank r; what came from each rank, in order."""
        return self._hvd.alltoall(tensor, name=name)

    def concatenate(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """The ranks' tensors one after another."""
        return self._hvd.allgather(tensor, name=name)

    def broadcast(self, variables: Sequence[tf.Variable], root: int = 0) -> None:
        """Overwrite raw tf.Variables with `root`'s values."""
        with self.guard():
            self._hvd.broadcast_variables(list(variables), root_rank=root)

    def gather(self, value: Any) -> list[Any]:
        """Every rank's `value`, in rank order."""
        # Not hvd.allgather_object: it names the operation after the value's type, so that ranks
        # whose types differ (None here, a dict there) wait for each other for ever.
        import tensorflow as tf

        data = numpy.frombuffer(pickle.dumps(value, protocol=5), numpy.uint8)
        with self.guard():
            sizes = self._hvd.allgather(tf.constant([data.size], tf.int64), name="gather.sizes")
            joined = self._hvd.allgather(tf.constant(data), name="gather.data").numpy()
        ends = numpy.cumsum(sizes.numpy())
        return [pickle.loads(part.tobytes()) for part in numpy.split(joined, ends[:-1])]

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """`root`'s `value`."""
        with self.guard():
            return self._hvd.broadcast_object(value, root_rank=root, name="broadcast_object")

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around whatever waits for other ranks: it ends, with PeerLost where one is gone."""
        import tensorflow as tf
        from horovod.common.exceptions import HorovodInternalError

        try:
            with self._watch.limited():
                yield
        except HorovodInternalError as error:
            raise PeerLost(_lost(self.rank, error)) from error
        except tf.errors.OpError as error:
            if "horovod" not in str(error).lower():
                raise
            raise PeerLost(_lost(self.rank, error)) from error

    def changed(self) -> bool:
        """The processes of a fixed set stay the same."""
        return False

    def renew(self) -> list[str]:
        """A fixed set ends with its first loss."""
        raise PeerLost(f"rank {self.rank} belongs to a fixed set of processes, which lost one")

    def asked_to_stop(self) -> str:
        """A launcher asks by SIGTERM."""
        return ""

    def leave(self) -> bool:
        """Nobody can go alone."""
        return False

    def report(self, updates: int) -> None:
        """Nobody listens."""


def connect() -> Communicator:
    """The communicator of this process: Horovod's where a launcher started it, else `Solo`.

    A worker of a supervisor should have called home before (`cluster.member.called_home`): what
    imports TensorFlow is silent for seconds.
    """
    member = called_home()
    if member is not None:
        from cluster.elastic import ElasticCommunicator

        end_with_launcher()
        return ElasticCommunicator(member)
    if "HOROVOD_RANK" not in os.environ:
        return Solo()
    end_with_launcher()
    return HorovodCommunicator()


def launch(np: int, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Outcome:
    """Run `argv` as `np` Horovod processes on this machine and wait for their end.

    The processes meet through Horovod's own rendezvous server, exactly as under `horovodrun
    --gloo`; so the same `argv` also runs under that. What is ours is the watch over them: rank 0
    has this process's stdout and stderr themselves (horovodrun's pipes hide a terminal from its
    progress bar), a stop leaves time for a checkpoint, and the outcome names the rank that was the
    cause. See `cluster.processes.run_ranks` for output, signals and bounds.

    Args:
        np: number of processes, at least 1.
        argv: the job, such as [sys.executable, "-m", "jobs.train", ...].
        env: variables on top of this process's.

    Raises UsageError on a bad `np`, IntentError where Horovod is missing.
    """
    if np < 1:
        raise UsageError(f"the number of processes must be at least 1, got {np}")
    if importlib.util.find_spec("horovod") is None:  # importing it would bring TensorFlow here too
        raise _unusable("not installed")
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
    from horovod.runner.gloo_run import create_run_env_vars, create_slot_env_vars
    from horovod.runner.http.http_server import RendezvousServer

    slots = get_host_assignments(parse_hosts(f"localhost:{np}"), np)
    server = RendezvousServer()
    port = server.start()
    try:
        server.init(slots)
        meeting = create_run_env_vars("127.0.0.1", [_loopback()], port)
        common = _rank_defaults(np) | os.environ | dict(env or {}) | _text(meeting)
        return run_ranks(argv, [common | _text(create_slot_env_vars(slot)) for slot in slots])
    finally:
        server.stop()


def _rank_defaults(np: int) -> dict[str, str]:
    """Settings of a rank that the user's own environment may override."""
    threads = str(max(1, len(os.sched_getaffinity(0)) // np))
    return {
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "HOROVOD_STALL_CHECK_TIME_SECONDS": "20",
        STALL_VARIABLE: str(STALL_END_S),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(SILENCE_END_S),
        "PYTHONUNBUFFERED": "1",
    }


def _horovod():
    """horovod.tensorflow, or an IntentError that says how to get it."""
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        raise _unusable(str(error).splitlines()[0]) from error
    return hvd


def _unusable(reason: str) -> IntentError:
    return IntentError(
        f"Horovod cannot be used by {sys.executable} ({reason}): run `make setup`, which builds "
        "it, or train with one process (--np 1)"
    )


def _loopback() -> str:
    """Name of the loopback interface ("lo" on Linux)."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if name.startswith("lo")), names[0])


def _lost(rank: int, error: Exception) -> str:
    # TensorFlow tells first where in the code the operation was made, and only then what happened.
    lines = [line.strip() for line in str(error).splitlines() if "orovod" in line]
    told = [line for line in lines if not line.startswith(("File ", "Detected at "))]
    reason = (told or ["no reason given"])[0].split(". ")[0][:200]
    return f"rank {rank} lost another process of this training, which died or stalled ({reason})"


def _text(env: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in env.items()}
