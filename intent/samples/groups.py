"""The layout "groups": one padded row a group, for people who bring their own reader.

Each array is one cell in .npy format (`numpy.load(io.BytesIO(cell))`), which is also Petastorm's
NdarrayCodec, so `petastorm.make_reader` gives ready arrays. Tracks hold the same groups in a small
part of the space, and `intent.samples.regroup` makes them of groups again: for this, and for
readers who want times finer than the ids, each window goes with the times of its actions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from intent import storage
from intent.samples.cells import encode_cell
from intent.samples.manifest import Shard
from intent.samples.store import COMPRESSION, shard_path
from intent.samples.undersampling import is_negative
from intent.samples.units import Unit
from intent.samples.windows import window_times
from intent.schema import Schema, View, narrowest

CHUNK = 256  # groups padded at a time; a row group of the dense layout, too
# The windows of a user's next cut hold the same times, shifted by a few: a level that looks further
# for repetitions makes these columns a fifth smaller. To ids it does nothing.
TIMES_LEVEL = 3


def times_column(view: View) -> str:
    """The column with the times of a view's window: epoch ms, 0 at padding."""
    return f"{view.name}_times"


def columns(schema: Schema) -> dict[str, tuple[np.dtype, tuple]]:
    """The array columns of a group: name -> (type, shape)."""
    found = {v.name: (v.dtype, (schema.length, v.width)) for v in schema.views}
    found |= {times_column(v): (np.dtype("<i8"), (schema.length,)) for v in schema.views}
    for source in ("history", "profile"):
        features = getattr(schema, source)
        if features:
            found[source] = (narrowest(features), (len(features),))
    return found


def arrow_schema(schema: Schema) -> pa.Schema:
    """user_id, time and since (epoch ms of the cut and of its session), labels, and the arrays."""
    labels = [(f"label_{t.name}", pa.uint8()) for t in schema.tasks]
    cells = [(name, pa.binary()) for name in columns(schema)]
    scalars = [("user_id", pa.string()), ("time", pa.int64()), ("since", pa.int64())]
    return pa.schema([*scalars, *labels, *cells])


def unischema(schema: Schema):
    """The Petastorm Unischema of a group."""
    from intent.samples.petastorm_compat import install

    install()
    from petastorm.codecs import NdarrayCodec, ScalarCodec
    from petastorm.unischema import Unischema, UnischemaField
    from pyspark.sql.types import LongType, ShortType, StringType

    scalars = [("user_id", np.str_, StringType())]
    scalars += [(name, np.int64, LongType()) for name in ("time", "since")]
    scalars += [(f"label_{t.name}", np.uint8, ShortType()) for t in schema.tasks]
    fields = [UnischemaField(n, t, (), ScalarCodec(s), False) for n, t, s in scalars]
    for name, (dtype, shape) in columns(schema).items():
        fields.append(UnischemaField(name, dtype.type, shape, NdarrayCodec(), False))
    return Unischema("Groups", fields)


def _tables(unit: Unit) -> Iterator[pa.Table]:
    schema = arrow_schema(unit.schema)
    for start in range(0, unit.groups, CHUNK):
        index = np.arange(start, min(start + CHUNK, unit.groups))
        arrays = unit.inputs(index)
        for view in unit.schema.views:
            name = view.name
            times = window_times(unit.times[name], *unit.spans(name, index), unit.schema.length)
            arrays[times_column(view)] = times
        data = {"user_id": unit.users[index], "time": unit.at[index], "since": unit.since[index]}
        for i, task in enumerate(unit.schema.tasks):
            data[f"label_{task.name}"] = unit.labels[index, i]
        for name in columns(unit.schema):
            data[name] = [encode_cell(a) for a in arrays[name]]
        yield pa.table(data, schema=schema)


def write_shard(root: str, day: str, units: Iterator[Unit], schema: Schema) -> Shard:
    """Write all groups of `units` as one shard of the dense layout at `root`, a path or a URL."""
    temporary = storage.scratch(storage.join(root, f"day={day}"))
    scalars = [name for name in arrow_schema(schema).names if name not in columns(schema)]
    row_groups: list[int] = []
    negatives: list[int] = []
    positives = np.zeros(len(schema.tasks), np.int64)
    content = 0
    try:
        with pq.ParquetWriter(
            temporary,
            arrow_schema(schema),
            compression=COMPRESSION,
            compression_level={times_column(v): TIMES_LEVEL for v in schema.views},
            use_dictionary=False,
            write_statistics=scalars,  # the least and the greatest cell would go into the footer
            write_page_checksum=True,
        ) as writer:
            for unit in units:
                positives += unit.labels.sum(axis=0, dtype=np.int64)
                negative, first = is_negative(unit.labels), 0
                for table in _tables(unit):
                    writer.write_table(table)
                    row_groups.append(table.num_rows)
                    negatives.append(int(negative[first : first + table.num_rows].sum()))
                    first += table.num_rows
                    content += sum(row_digests(table))
        checksum, size = storage.sha256(temporary), temporary.stat().st_size
        path = shard_path(day, checksum)
        storage.publish(temporary, storage.join(root, path))
    finally:
        temporary.unlink(missing_ok=True)
    return Shard(
        path=path,
        day=day,
        rows=sum(row_groups),
        groups=sum(row_groups),
        row_groups=row_groups,
        negatives=negatives,
        positives={t.name: int(n) for t, n in zip(schema.tasks, positives, strict=True)},
        size=size,
        sha256=checksum,
        content=f"{content % 2**128:032x}",
    )


def row_digests(table: pa.Table) -> Iterator[int]:
    """Each row's part of the content hash, below 2**128."""
    for row in table.to_pylist():
        digest = hashlib.blake2b(digest_size=16)
        for name, value in row.items():
            digest.update(f"{name}=".encode())
            digest.update(value if isinstance(value, bytes) else str(value).encode())
        yield int.from_bytes(digest.digest(), "big")
