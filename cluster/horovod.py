"""Horovod: the communicator of several processes, and which communicator this process has.

Horovod reaches only what it is given here: raw tf.Variables and tensors. Its Keras optimizer and
callbacks do not work with Keras 3.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy

from cluster.member import called_home
from cluster.processes import end_with_launcher
from cluster.watchdog import Watchdog
from intent.errors import IntentError
from intent.training.comm import Communicator, PeerLost, Solo, Unwatched

if TYPE_CHECKING:
    import tensorflow as tf

# How long a rank waits for others before it ends (seconds). The first bounds a rank that is alive
# but does not come to a reduction (it must leave time for the compilation in the first step), the
# second one that is frozen or out of reach, whose background thread no longer answers either.
STALL_END_S, SILENCE_END_S = 120, 30
STALL_VARIABLE = "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS"


class HorovodCommunicator(Unwatched):
    """Collectives over the processes that horovodrun started."""

    rank: int
    size: int

    def __init__(self, watch: Watchdog | None = None) -> None:
        self._hvd = _horovod()
        # Else groups that are ready together share a ring, and how three or more numbers are added
        # up depends on the moment: two runs differ in their last bits.
        os.environ.setdefault("HOROVOD_DISABLE_GROUP_FUSION", "1")
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

    def renew(self) -> list[str]:
        """A fixed set ends with its first loss."""
        raise PeerLost(f"rank {self.rank} belongs to a fixed set of processes, which lost one")


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


def _horovod():
    """horovod.tensorflow, or an IntentError that says how to get it."""
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        raise unusable(str(error).splitlines()[0]) from error
    return hvd


def unusable(reason: str) -> IntentError:
    """The error of a process without Horovod."""
    return IntentError(
        f"Horovod cannot be used by {sys.executable} ({reason}): run `make setup`, which builds "
        "it, or train with one process (--np 1)"
    )


def _lost(rank: int, error: Exception) -> str:
    # TensorFlow tells first where in the code the operation was made, and only then what happened.
    lines = [line.strip() for line in str(error).splitlines() if "orovod" in line]
    told = [line for line in lines if not line.startswith(("File ", "Detected at "))]
    reason = (told or ["no reason given"])[0].split(". ")[0][:200]
    return f"rank {rank} lost another process of this training, which died or stalled ({reason})"
