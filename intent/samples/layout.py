"""What a track row looks like in Parquet: its columns, its cells, and the Petastorm Unischema."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from intent.samples.cells import encode_cell
from intent.samples.tracks import TrackRow
from intent.schema import Schema, narrowest


def columns(schema: Schema) -> dict[str, tuple[np.dtype, tuple]]:
    """The array columns of a track row: name -> (type, shape; None where it varies)."""
    ids = {f"{v.name}_ids": (v.dtype, (None, v.width)) for v in schema.views}
    times = {f"{v.name}_times": (np.dtype("<i8"), (None,)) for v in schema.views}
    rest = {
        "cut_time": (np.dtype("<i8"), (None,)),
        "cut_end": (np.dtype("<u4"), (None, len(schema.views))),
        "labels": (np.dtype("u1"), (None, len(schema.tasks))),
    }
    if schema.history:
        rest["history"] = (narrowest(schema.history), (None, len(schema.history)))
    if schema.profile:
        rest["profile"] = (narrowest(schema.profile), (len(schema.profile),))
    return {**ids, **times, **rest}


def arrow_schema(schema: Schema) -> pa.Schema:
    """Columns of a shard: the user, the number of groups, and one binary cell per array."""
    cells = [(name, pa.binary()) for name in columns(schema)]
    return pa.schema([("user_id", pa.string()), ("groups", pa.int32()), *cells])


def unischema(schema: Schema):
    """The Petastorm Unischema of a shard."""
    from intent.samples.petastorm_compat import install

    install()
    from petastorm.codecs import NdarrayCodec, ScalarCodec
    from petastorm.unischema import Unischema, UnischemaField
    from pyspark.sql.types import IntegerType, StringType

    arrays = [
        UnischemaField(name, dtype.type, shape, NdarrayCodec(), False)
        for name, (dtype, shape) in columns(schema).items()
    ]
    return Unischema(
        "Tracks",
        [
            UnischemaField("user_id", np.str_, (), ScalarCodec(StringType()), False),
            UnischemaField("groups", np.int32, (), ScalarCodec(IntegerType()), False),
            *arrays,
        ],
    )


def cells(row: TrackRow, schema: Schema) -> dict[str, bytes]:
    """A track row's arrays as cells."""
    arrays = {f"{v.name}_ids": row.ids[v.name] for v in schema.views}
    arrays |= {f"{v.name}_times": row.times[v.name] for v in schema.views}
    arrays |= {"cut_time": row.cut_time, "cut_end": row.cut_end, "labels": row.labels}
    if schema.history:
        arrays["history"] = row.history
    if schema.profile:
        arrays["profile"] = row.profile
    types = columns(schema)
    return {name: encode_cell(np.asarray(a, types[name][0])) for name, a in arrays.items()}
