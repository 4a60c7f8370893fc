"""Batches on the accelerator, some steps ahead of the step that uses them.

Ids cross the bus in the narrow unsigned types in which they are stored; the model widens them, on
the device (`intent.models.embedding`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from intent.samples.feed import Batch

Take = Callable[["Batch"], tuple]


def on_device(
    batches: Iterator[Batch],
    take: Take,
    device: str | None = None,
    ahead: int = 2,
) -> Iterator[tuple[Batch, tuple]]:
    """Each batch with its arrays `take(batch)` in the memory of `device`.

    Without a GPU the arrays stay what they are. TensorFlow copies NumPy arrays whenever it is
    called with them, on a CPU too, aligned or not: 0.9 ms for 2 MB (256 groups), below a hundredth
    of the step that follows, so there is nothing to gain on a CPU.

    On an accelerator tf.data copies `ahead` batches before they are asked for. It does so by DMA,
    beside the step, only from pinned host memory, and of its transformations only `map_and_batch`
    allocates that where there is a GPU (tensorflow/tensorflow issue 43905); hence the batch of one
    below. This was run with a second logical CPU in place of the accelerator, never on a GPU:
    TensorFlow's speed there, and that the memory is pinned, are not measured.

    Args:
        batches: what a feed gives; closed at the end, also when the caller leaves early.
        take: the arrays of a batch that are to go, as a tuple of arrays or dicts of arrays; of the
            same structure, number of axes and types for every batch. Sizes may differ.
        device: such as "/GPU:0"; None is the first GPU, if there is one.
        ahead: batches that wait on the device.

    Errors of `batches` and `take` are raised as they are, after the batches before them.
    """
    if device is None:
        device = next((d.name for d in tf.config.list_logical_devices("GPU")), None)
    if device is None:
        try:
            for batch in batches:
                yield batch, take(batch)
        finally:
            _close(batches)
    else:
        yield from _prefetched(_Source(batches, take), device, ahead)


def _prefetched(source: _Source, device: str, ahead: int) -> Iterator[tuple[Batch, tuple]]:
    try:
        arrays = source.arrays()
        first = next(arrays, None)
        if first is not None:
            iterator = iter(_dataset(first, arrays, device, ahead))
            for tensors in iterator:
                yield source.kept.popleft(), tensors
        if source.error is not None:
            raise source.error
    finally:
        iterator = None  # ends what tf.data does for it
        source.close()


def _dataset(first: tuple, rest: Iterator[tuple], device: str, ahead: int) -> tf.data.Dataset:
    """`first` and then the `rest`, on the device; can be iterated over once."""
    specs = tf.nest.map_structure(lambda a: tf.TensorSpec([None] * a.ndim, a.dtype), first)
    dataset = tf.data.Dataset.from_generator(lambda: chain([first], rest), output_signature=specs)
    dataset = dataset.apply(tf.data.experimental.map_and_batch(_same, 1, num_parallel_calls=1))
    dataset = dataset.map(_without_batch_of_one)
    return dataset.apply(tf.data.experimental.prefetch_to_device(device, ahead))


def _close(batches: Iterator[Batch]) -> None:
    """End a generator, and with it whatever reads ahead for it; other iterators have no end."""
    if hasattr(batches, "close"):
        batches.close()


def _same(*arrays):
    return arrays


def _without_batch_of_one(*arrays):
    return tf.nest.map_structure(lambda a: tf.squeeze(a, 0), arrays)  # the same memory


class _Source:
    """A feed as tf.data's threads read it.

    Attributes:
        kept: batches whose arrays were given to tf.data, oldest first.
        error: what ended the feed; tf.data would wrap it.
    """

    def __init__(self, batches: Iterator[Batch], take: Take) -> None:
        self.kept: deque[Batch] = deque()
        self.error: BaseException | None = None
        self._batches, self._take = batches, take
        self._lock, self._over = threading.Lock(), False

    def arrays(self) -> Iterator[tuple]:
        """The arrays of all batches, until the feed ends, fails or is closed."""
        while (arrays := self._next()) is not None:
            yield arrays

    def close(self) -> None:
        """End the feed, once no other thread is in it."""
        self._over = True
        with self._lock:
            _close(self._batches)

    def _next(self) -> tuple | None:
        with self._lock:
            try:
                batch = None if self._over else next(self._batches, None)
                if batch is None:
                    return None
                arrays = self._take(batch)
            except BaseException as error:
                self.error = error
                return None
            self.kept.append(batch)
            return arrays
