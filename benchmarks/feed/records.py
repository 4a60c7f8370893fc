"""The rival tf.data: TFRecord files of the same groups, and the pipelines over them.

Three forms of a record, each array as the bytes of its narrow type, so nothing is parsed value by
value:

    example   a tf.train.Example with one bytes feature for every array and for the labels
    packed    a tf.train.Example with one bytes feature that holds them all, one behind the other
    raw       those same bytes alone, without an Example: the least that a TFRecord can be

Letters: B groups of a batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intent.samples import manifest as manifests
from intent.samples.rowgroups import read_row_groups
from intent.samples.units import needed_columns, read_unit
from intent.schema import Schema, narrowest

FORMS = ("example", "packed", "raw")
LABELS = "labels"
CHUNK = 256


def fields(schema: Schema) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """The arrays of a group in the order in which they are packed: name -> (type, shape)."""
    found = {v.name: (v.dtype, (schema.length, v.width)) for v in schema.views}
    for source in ("history", "profile"):
        features = getattr(schema, source)
        if features:
            found[source] = (narrowest(features), (len(features),))
    return found | {LABELS: (np.dtype(np.uint8), (len(schema.tasks),))}


def size(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """Bytes of an array."""
    return int(np.prod(shape)) * dtype.itemsize


def groups(tracks: Path) -> Iterator[dict[str, np.ndarray]]:
    """All groups of a dataset of ours, a few hundred at a time: name of a field -> [B, ...]."""
    manifest = manifests.load(tracks)
    schema = manifest.schema
    items = [(s.path, i) for s in manifest.shards for i in range(len(s.row_groups))]
    for table in read_row_groups(str(tracks), items, needed_columns(schema)):
        unit = read_unit(table, schema, schema)
        for low in range(0, unit.groups, CHUNK):
            index = np.arange(low, min(low + CHUNK, unit.groups))
            yield {**unit.inputs(index), LABELS: unit.labels[index]}


def write(tracks: Path, out: dict[str, Path], files: int) -> None:
    """Writes every form of all groups of `tracks`, dealt over `files` files; uncompressed."""
    import tensorflow as tf

    names = list(fields(manifests.load(tracks).schema))
    with ExitStack() as stack:
        writers = {}
        for form, folder in out.items():
            folder.mkdir()
            paths = [str(folder / f"part-{i:02d}.records") for i in range(files)]
            writers[form] = [stack.enter_context(tf.io.TFRecordWriter(path)) for path in paths]
        for number, part in enumerate(groups(tracks)):
            for row in range(len(part[LABELS])):
                cells = {name: part[name][row].tobytes() for name in names}
                joined = b"".join(cells.values())
                to = number % files
                writers["example"][to].write(_example(cells))
                writers["packed"][to].write(_example({"group": joined}))
                writers["raw"][to].write(joined)


def _example(cells: dict[str, bytes]) -> bytes:
    import tensorflow as tf

    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[cell]))
        for name, cell in cells.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def gzipped(path: Path) -> int:
    """Bytes of a file after gzip, as TFRecord's compression would make it."""
    squeeze, total = zlib.compressobj(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            total += len(squeeze.compress(block))
    return total + len(squeeze.flush())


@dataclass(frozen=True)
class Pipeline:
    """One way to read the records.

    Attributes:
        form: of the records.
        parse: "batch" or "row": parsed after they are batched, or before.
        buffer: records in the shuffle buffer.
        parallel: whether stages run in parallel (AUTOTUNE), or one after the other.
        batch: groups of a batch.
    """

    form: str
    parse: str = "batch"
    buffer: int = 65_536
    parallel: bool = True
    batch: int = 256

    @property
    def name(self) -> str:
        """For tables."""
        how = "parallel" if self.parallel else "sequential"
        return f"{self.form}, parsed by {self.parse}, buffer {self.buffer}, {how}"


def dataset(folder: Path, schema: Schema, how: Pipeline, cores: int, seed: int = 0):
    """A tf.data.Dataset of dicts name of a field -> [B, ...], every group once and shuffled."""
    import tensorflow as tf

    auto = tf.data.AUTOTUNE if how.parallel else None
    paths = sorted(map(str, folder.glob("*.records")))
    found = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=seed)
    read = {"cycle_length": len(paths), "block_length": 16, "num_parallel_calls": auto}
    if how.parallel:
        read["deterministic"] = False
    found = found.interleave(lambda p: tf.data.TFRecordDataset(p, buffer_size=1 << 20), **read)
    found = found.shuffle(how.buffer, seed=seed)
    parse = parser(how.form, schema, how.parse)
    if how.parse == "row":
        found = found.map(parse, num_parallel_calls=auto).batch(how.batch, num_parallel_calls=auto)
    else:
        found = found.batch(how.batch, num_parallel_calls=auto)
        found = found.map(parse, num_parallel_calls=auto)
    options = tf.data.Options()
    options.deterministic = False
    options.threading.private_threadpool_size = cores
    options.threading.max_intra_op_parallelism = 1
    return found.prefetch(tf.data.AUTOTUNE).with_options(options)


def parser(form: str, schema: Schema, parse: str) -> Callable:
    """What makes arrays of one record (parse="row") or of the records of a batch ("batch")."""
    import tensorflow as tf

    known = fields(schema)
    lead = [] if parse == "row" else [-1]
    one = tf.io.parse_single_example if parse == "row" else tf.io.parse_example

    def array(cells, dtype, shape):
        return tf.reshape(tf.io.decode_raw(cells, tf.as_dtype(dtype)), [*lead, *shape])

    def example(records):
        cells = one(records, {name: tf.io.FixedLenFeature([], tf.string) for name in known})
        return {name: array(cells[name], *known[name]) for name in known}

    def raw(records):
        out, at = {}, 0
        joined = tf.io.decode_raw(records, tf.uint8)
        for name, (dtype, shape) in known.items():
            width = size(dtype, shape)
            part = joined[..., at : at + width]
            if dtype.itemsize > 1:
                part = tf.bitcast(tf.reshape(part, [*lead, *shape, dtype.itemsize]), dtype)
            out[name], at = tf.reshape(part, [*lead, *shape]), at + width
        return out

    def packed(records):
        cells = one(records, {"group": tf.io.FixedLenFeature([], tf.string)})
        return raw(cells["group"])

    return {"example": example, "packed": packed, "raw": raw}[form]
