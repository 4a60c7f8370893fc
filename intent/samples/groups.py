"""The layout "groups": one padded row a group, for people who bring their own reader.

Each array is one cell in .npy format (`numpy.load(io.BytesIO(cell))`), which is also Petastorm's
NdarrayCodec, so `petastorm.make_reader` gives ready arrays. Tracks hold the same groups in a small
part of the space.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from intent.samples.cells import encode_cell
from intent.samples.manifest import Shard, sha256
from intent.samples.store import COMPRESSION
from intent.samples.units import Unit
from intent.schema import Schema, narrowest

CHUNK = 256  # groups padded at a time; a row group of the dense layout, too


def columns(schema: Schema) -> dict[str, tuple[np.dtype, tuple]]:
    """The array columns of a group: name -> (type, shape)."""
    found = {v.name: (v.dtype, (schema.length, v.width)) for v in schema.views}
    for source in ("history", "profile"):
        features = getattr(schema, source)
        if features:
            found[source] = (narrowest(features), (len(features),))
    return found


def arrow_schema(schema: Schema) -> pa.Schema:
    """user_id, time (epoch ms of the cut), one label column a task, and the arrays."""
    labels = [(f"label_{t.name}", pa.uint8()) for t in schema.tasks]
    cells = [(name, pa.binary()) for name in columns(schema)]
    return pa.schema([("user_id", pa.string()), ("time", pa.int64()), *labels, *cells])


def unischema(schema: Schema):
    """The Petastorm Unischema of a group."""
    from intent.samples.petastorm_compat import install

    install()
    from petastorm.codecs import NdarrayCodec, ScalarCodec
    from petastorm.unischema import Unischema, UnischemaField
    from pyspark.sql.types import LongType, ShortType, StringType

    scalars = [("user_id", np.str_, StringType()), ("time", np.int64, LongType())]
    scalars += [(f"label_{t.name}", np.uint8, ShortType()) for t in schema.tasks]
    fields = [UnischemaField(n, t, (), ScalarCodec(s), False) for n, t, s in scalars]
    for name, (dtype, shape) in columns(schema).items():
        fields.append(UnischemaField(name, dtype.type, shape, NdarrayCodec(), False))
    return Unischema("Groups", fields)


def _tables(unit: Unit) -> Iterator[pa.Table]:
    schema = arrow_schema(unit.schema)
    for start in range(0, unit.groups, CHUNK):
        index = np.arange(start, min(start + CHUNK, unit.groups))
        inputs = unit.inputs(index)
        data = {"user_id": unit.users[index], "time": unit.at[index]}
        for i, task in enumerate(unit.schema.tasks):
            data[f"label_{task.name}"] = unit.labels[index, i]
        for name in columns(unit.schema):
            data[name] = [encode_cell(a) for a in inputs[name]]
        yield pa.table(data, schema=schema)


def write_shard(root: Path, day: str, units: Iterator[Unit], schema: Schema) -> Shard:
    """Write all groups of `units` as one shard of the dense layout."""
    folder = root / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".writing-{os.getpid()}-{os.urandom(6).hex()}"
    row_groups: list[int] = []
    positives = np.zeros(len(schema.tasks), np.int64)
    content = 0
    try:
        with pq.ParquetWriter(
            temporary, arrow_schema(schema), compression=COMPRESSION, use_dictionary=False
        ) as writer:
            for unit in units:
                positives += unit.labels.sum(axis=0, dtype=np.int64)
                for table in _tables(unit):
                    writer.write_table(table)
                    row_groups.append(table.num_rows)
                    content += sum(_row_hashes(table))
        checksum = sha256(temporary)
        path = folder / f"part-{checksum[:16]}.parquet"
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return Shard(
        path=str(path.relative_to(root)),
        day=day,
        rows=sum(row_groups),
        groups=sum(row_groups),
        row_groups=row_groups,
        positives={t.name: int(n) for t, n in zip(schema.tasks, positives, strict=True)},
        size=path.stat().st_size,
        sha256=checksum,
        content=f"{content % 2**128:032x}",
    )


def _row_hashes(table: pa.Table) -> Iterator[int]:
    for row in table.to_pylist():
        digest = hashlib.blake2b(digest_size=16)
        for name, value in row.items():
            digest.update(f"{name}=".encode())
            digest.update(value if isinstance(value, bytes) else str(value).encode())
        yield int.from_bytes(digest.digest(), "big")
