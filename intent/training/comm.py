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
    """How `rank` of `size` processes reaches the others. Rank 0 is the coordinator.

    The first four work on tensors and may be called inside a tf.function, but not inside a
    jit-compiled one. Ranks meet by `name`: one name, one shape of call at a time.

    Attributes:
        rank, size: change in `renew`, and nowhere else.
        elastic: whether `renew` can do anything.
    """

    rank: int
    size: int
    elastic: bool

    def allreduce(self, tensors: Sequence[tf.Tensor], name: str = "allreduce") -> list[tf.Tensor]:
        """The sum over ranks of each tensor. Shapes and dtypes are the same on every rank."""

    def maximum(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """The largest over ranks, element by element. The same shape on every rank."""

    def exchange(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """`tensor` [size, ...]: row r goes to rank r; returns the rows that came from each rank."""

    def concatenate(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """The ranks' tensors [n, ...] one after another; n may differ, the rest may not."""

    def broadcast(self, variables: Sequence[tf.Variable], root: int = 0) -> None:
        """Overwrite `variables` with `root`'s values. Raw tf.Variables (`v.value` in Keras 3)."""

    def gather(self, value: Any) -> list[Any]:
        """Every rank's `value` (anything that pickles), in rank order, on every rank."""

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """`root`'s `value`, on every rank."""

    def guard(self) -> AbstractContextManager[None]:
        """A block that waits for other ranks, such as a compiled step with an `allreduce`.

        It ends: with PeerLost, or with the process, where another rank does not come. The other
        collectives are guarded by themselves.
        """

    def changed(self) -> bool:
        """Whether somebody waits to join or is about to leave: call `renew` when all can."""

    def renew(self) -> list[str]:
        """Meet again with those who are there now, after PeerLost or when all saw `changed`.

        Returns what happened, a sentence for each who left or joined. Raises IntentError where
        there is no going on.
        """

    def asked_to_stop(self) -> str:
        """Who or what wants training to end after this step, with a checkpoint; mostly nobody."""

    def leave(self) -> bool:
        """This process must end and the others need not: `changed` will say so on all ranks, and
        `renew` raises PeerLost here. False where the others cannot go on without it."""

    def report(self, updates: int) -> None:
        """How far this process is, for whoever watches over it."""

    def at_work(self) -> None:
        """This process does something that others may have to wait for, and is not stuck."""

    def finish(self) -> None:
        """Training is over and its results are there: nobody is to be missed any more."""


class Unwatched:
    """What a communicator says whose processes nobody watches over: they stay as they are."""

    elastic = False

    def changed(self) -> bool:
        """Nobody joins."""
        return False

    def asked_to_stop(self) -> str:
        """Nobody asks, but by a signal."""
        return ""

    def leave(self) -> bool:
        """Nobody can go alone."""
        return False

    def report(self, updates: int) -> None:
        """Nobody listens."""

    def at_work(self) -> None:
        """Nobody listens."""

    def finish(self) -> None:
        """Nobody listens."""


class Solo(Unwatched):
    """World size 1: the same code, with nobody to talk to."""

    rank = 0
    size = 1

    def allreduce(self, tensors: Sequence[tf.Tensor], name: str = "allreduce") -> list[tf.Tensor]:
        """The tensors themselves."""
        return list(tensors)

    def maximum(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """The tensor itself."""
        return tensor

    def exchange(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """The tensor itself."""
        return tensor

    def concatenate(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        """The tensor itself."""
        return tensor

    def broadcast(self, variables: Sequence[tf.Variable], root: int = 0) -> None:
        """Nothing to do."""

    def gather(self, value: Any) -> list[Any]:
        """A list of one."""
        return [value]

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """The value itself."""
        return value

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Nothing can be lost."""
        yield

    def renew(self) -> list[str]:
        """There is nobody to meet."""
        raise IntentError("a process that trains alone has lost nobody: a fault in the program")
