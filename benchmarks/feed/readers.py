"""The readers that are measured, each in a process of its own (see `child`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.feed import meter, records
from intent.samples import manifest as manifests

BATCH = 256


def imports() -> None:
    """What our feed imports when it is first used: no part of an epoch's time."""
    from intent.samples.petastorm_compat import install

    install()
    import petastorm.workers_pool.thread_pool  # noqa: F401


def feed(root: Path | str, **options):
    """Our feed over the dataset at `root`."""
    from intent.samples.reader import TrackFeed

    imports()
    manifest = manifests.load(root)
    return TrackFeed(str(root), manifest, manifest.schema, batch=BATCH, **options)


def ours(root: str, cores: int, begun: float, epochs: int = 2, tensors: bool = False) -> dict:
    """Our feed, to the end of every epoch; with `tensors`, each array also as a TensorFlow one."""
    source = feed(root)
    if tensors:
        tf = tensorflow(cores)
        tf.constant(0)

    def stream(epoch: int) -> Iterator[int]:
        for batch in source.batches(epoch):
            if tensors:
                arrays = {**batch.inputs, "labels": batch.labels, "weights": batch.weights}
                kept = {name: tf.convert_to_tensor(a) for name, a in arrays.items()}
                assert len(kept) == len(arrays)
            yield int(batch.total)

    return meter.whole(stream, epochs)


def tensorflow(cores: int):
    """TensorFlow, held to `cores` threads."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(cores)
    tf.config.threading.set_inter_op_parallelism_threads(cores)
    return tf


def tfrecord(root: str, tracks: str, cores: int, begun: float, how: dict, epochs: int = 2) -> dict:
    """tf.data over record files; `how` is a `records.Pipeline`."""
    tensorflow(cores)
    pipeline = records.Pipeline(**how)
    schema = manifests.load(tracks).schema
    found = records.dataset(Path(root), schema, pipeline, cores)

    def stream(epoch: int) -> Iterator[int]:
        for batch in found:
            yield int(batch[records.LABELS].shape[0])

    return meter.whole(stream, epochs)


def petastorm(
    root: str, cores: int, begun: float, pool: str, workers: int, seconds: float, least: int
) -> dict:
    """Petastorm's make_reader over the padded layout: rows, decoded, for a part of an epoch."""
    with _reader(root, pool, workers) as reader:
        return meter.part(lambda epoch: (1 for _ in reader), seconds, least)


def petastorm_batches(
    root: str, cores: int, begun: float, workers: int, seconds: float, least: int
) -> dict:
    """Petastorm's make_batch_reader: whole row groups, whose arrays nobody decodes."""
    with _reader(root, "thread", workers, batches=True) as reader:
        return meter.part(lambda epoch: (len(b.time) for b in reader), seconds, least)


def _reader(root: str, pool: str, workers: int, batches: bool = False, epochs: int | None = None):
    from intent.samples.petastorm_compat import install

    install()
    from petastorm import make_batch_reader, make_reader

    schema = manifests.load(root).schema
    names = [n for n in records.fields(schema) if n != records.LABELS]
    names += ["user_id", "time", *(f"label_{t.name}" for t in schema.tasks)]
    make = make_batch_reader if batches else make_reader
    return make(
        f"file://{os.path.abspath(root)}",
        schema_fields=[f"^{name}$" for name in names],
        reader_pool_type=pool,
        workers_count=workers,
        num_epochs=epochs,
    )


def petastorm_rows(root: str) -> Iterator[dict[str, np.ndarray]]:
    """One epoch of rows as fields of a group, for the comparison."""
    schema = manifests.load(root).schema
    names = [n for n in records.fields(schema) if n != records.LABELS]
    with _reader(root, "thread", 2, epochs=1) as reader:
        for row in reader:
            arrays = {name: getattr(row, name) for name in names}
            labels = [getattr(row, f"label_{t.name}") for t in schema.tasks]
            yield {**arrays, records.LABELS: np.array(labels, np.uint8)}
