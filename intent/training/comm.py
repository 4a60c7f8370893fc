"""What training needs of the other processes, and the communicator of a process that is alone.

Every rank calls the same method at the same point (they are collectives); a rank that does not
makes the others wait. `cluster/horovod.py` has the communicator of several processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from intent.errors import IntentError

if TYPE_CHECKING:
    import tensorflow as tf


class PeerLost(IntentError):
    """Another process of this training died or stalled. This one ends because of it.

    The exit status lets a launcher tell those who lost a peer from the one who was the cause.
    """

    exit_status = 75


class Communicator(Protocol):
    """How `rank` of `size` processes reaches the others. Rank 0 is the coordinator."""

    rank: int
    size: int

    def allreduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The sum over ranks of each tensor. Shapes and dtypes are the same on every rank.

        May be called inside a tf.function, but not inside a jit-compiled one.
        """

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Overwrite `variables` with rank 0's values. Raw tf.Variables (`v.value` in Keras 3)."""

    def gather(self, value: Any) -> list[Any]:
        """Every rank's `value` (anything that pickles), in rank order, on every rank."""

    def broadcast_object(self, value: Any) -> Any:
        """Rank 0's `value`, on every rank."""

    def guard(self) -> AbstractContextManager[None]:
        """A block that waits for other ranks, such as a compiled step with an `allreduce`.

        It ends: with PeerLost, or with the process, where another rank does not come. The other
        collectives are guarded by themselves.
        """


class Solo:
    """World size 1: the same code, with nobody to talk to."""

    rank = 0
    size = 1

    def allreduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The tensors themselves."""
        return list(tensors)

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Nothing to do."""

    def gather(self, value: Any) -> list[Any]:
        """A list of one."""
        return [value]

    def broadcast_object(self, value: Any) -> Any:
        """The value itself."""
        return value

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Nothing can be lost."""
        yield
