"""Ranks as threads of one process: collectives on eager tensors, added up in the order of ranks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from intent.training.comm import Unwatched

PATIENCE_S = 60


class ThreadRank(Unwatched):
    """The communicator of one of `size` threads. Only where nothing is compiled.

    Attributes:
        sent: bytes of each collective's own tensor, by name.
    """

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, board: list) -> None:
        self.rank, self.size = rank, size
        self._barrier, self._board = barrier, board
        self.sent: dict[str, int] = {}

    def gather(self, value: Any) -> list[Any]:
        self._board[self.rank] = value
        self._barrier.wait(PATIENCE_S)
        found = list(self._board)
        self._barrier.wait(PATIENCE_S)
        return found

    def allreduce(self, tensors: Sequence[tf.Tensor], name: str = "allreduce") -> list[tf.Tensor]:
        columns = zip(*self._meet(name, *tensors), strict=True)
        return [tf.constant(sum(column)) for column in columns]

    def maximum(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        return tf.constant(np.max([part for (part,) in self._meet(name, tensor)], axis=0))

    def exchange(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        assert tensor.shape[0] == self.size
        return tf.constant(np.stack([part[self.rank] for (part,) in self._meet(name, tensor)]))

    def concatenate(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        return tf.constant(np.concatenate([part for (part,) in self._meet(name, tensor)]))

    def guard(self):
        return nullcontext()

    def _meet(self, name: str, *tensors: tf.Tensor) -> list[tuple]:
        arrays = [t.numpy() for t in tensors]
        self.sent[name] = sum(a.nbytes for a in arrays)
        found = self.gather((name, *arrays))
        assert {of for of, *_ in found} == {name}, "ranks are at different collectives"
        return [tuple(rest) for _, *rest in found]


def on_ranks(size: int, work: Callable[[ThreadRank], Any]) -> list[Any]:
    """`work(comm)` on `size` threads; what each gave, by rank."""
    barrier, board = threading.Barrier(size), [None] * size

    def one(rank: int) -> Any:
        try:
            return work(ThreadRank(rank, size, barrier, board))
        except BaseException:
            barrier.abort()  # nobody waits for one who has failed
            raise

    with ThreadPoolExecutor(size) as pool:
        waiting = [pool.submit(one, rank) for rank in range(size)]
        errors = [w.exception() for w in waiting]
        broken = threading.BrokenBarrierError
        for error in sorted(filter(None, errors), key=lambda e: isinstance(e, broken)):
            raise error
        return [w.result() for w in waiting]
