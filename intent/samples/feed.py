"""What training and evaluation read from: batches of sample groups, one rank's share of each step.

`intent.samples.reader` has the feed over a samples dataset.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from intent.schema import Schema

T = TypeVar("T")
LEAVE_S = 10  # for what is being made when nobody wants it any more


@dataclass(frozen=True)
class Batch:
    """A rank's part of one global batch; b = ceil(batch / ranks) rows on every rank and step.

    Attributes:
        epoch, step: where in the plan.
        inputs: source -> ids [b, ...], narrow unsigned types; a view is [b, n, features], n being
            the window length of the schema, or less where lengths are bucketed.
        labels: [b, tasks] of 0 and 1.
        weights: [b] of the loss; 0 marks rows that only fill a short batch.
        total: groups of this step over all ranks.
        users, times: [b] which group each row is: the user and t0 (epoch ms).
    """

    epoch: int
    step: int
    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    weights: np.ndarray
    total: int
    users: np.ndarray
    times: np.ndarray


def filled(values: np.ndarray, rows: int, filler: object = 0) -> np.ndarray:
    """`values` [n, ...] with rows of filler behind them: groups that never did anything."""
    if len(values) == rows:
        return values
    out = np.full((rows, *values.shape[1:]), filler, values.dtype)
    out[: len(values)] = values
    return out


class Feed(Protocol):
    """What training and evaluation read from."""

    schema: Schema

    def of_rank(self, rank: int, world: int) -> Feed:
        """The same groups in the same order, this rank's part of them."""

    def steps(self, epoch: int) -> int:
        """Steps of an epoch, the same on every rank."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `start` on."""

    def state(self, epoch: int, step: int) -> dict[str, Any]:
        """A position in this very order of groups: a small dict for JSON."""

    def resume(self, state: dict[str, Any]) -> tuple[int, int]:
        """(epoch, step) of a state, also of another rank's; IntentError if of another order."""


def ahead(items: Iterator[T], depth: int) -> Iterator[T]:
    """The same items, made up to `depth` ahead by a thread; its errors are raised here.

    Leaving the iterator ends the thread.
    """
    ready: queue.Queue = queue.Queue(depth)
    over = threading.Event()

    def put(item: object) -> None:
        while not over.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None))
                if over.is_set():
                    return
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))
        finally:
            items.close()

    thread = threading.Thread(target=work, daemon=True, name="feed")
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        over.set()
        thread.join(LEAVE_S)
