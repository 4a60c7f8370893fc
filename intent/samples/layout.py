"""What a track row looks like in Parquet: its columns, its cells, and the Petastorm Unischema.

Every array is a cell in .npy format, every feature a column of its own: `intent.samples.compact`
says what the swipe view's columns hold, `intent.samples.timeline` what the times' do.
Rows are written and read by `intent.samples.rows`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from intent.samples import compact
from intent.schema import Schema, View, narrowest

COUNT = np.dtype("<u4")  # of cells with counts, whose type is the narrowest that holds theirs


@dataclass(frozen=True)
class Column:
    """An array column: the type of its values, the shape of one, and whether types vary."""

    dtype: np.dtype
    tail: tuple[int, ...] = ()
    counts: bool = False


def columns(schema: Schema) -> dict[str, Column]:
    """The array columns of a track row."""
    byte, count = Column(np.dtype("u1")), Column(COUNT, counts=True)
    found = {"moment_low": byte, "moment_mid": byte, "moment_high": count}
    for view in schema.views:
        found |= view_columns(view)
        found[f"{view.name}_step"] = count
    found |= {
        "cut_step": count,
        "cut_reach": count,
        "labels": Column(np.dtype("u1"), (len(schema.tasks),)),
    }
    for name in ("history", "profile"):
        features = getattr(schema, name)
        if features:
            tail = (len(features),) if name == "history" else ()
            found[name] = Column(narrowest(features), tail)
    return found


def view_columns(view: View) -> dict[str, Column]:
    """The columns with a view's ids."""
    of = {f.name: f for f in view.features}
    found = {f"{view.name}_{n}": Column(narrowest([of[n]])) for n in compact.stored_features(view)}
    if compact.is_swipe(view):
        byte = Column(np.dtype("u1"))
        found |= {f"{view.name}_{n}": byte for n in (*compact.OF_TAPS, *compact.OF_SWIPES)}
        found[f"{view.name}_odd_step"] = Column(COUNT, counts=True)
        found[f"{view.name}_odd"] = Column(np.dtype("u1"), (view.width,))
    return found


def arrow_schema(schema: Schema) -> pa.Schema:
    """Columns of a shard: the user, the number of groups, its first moment, and the cells."""
    cells = [(name, pa.binary()) for name in columns(schema)]
    scalars = [("user_id", pa.string()), ("groups", pa.int32()), ("start", pa.int64())]
    return pa.schema([*scalars, *cells])


def unischema(schema: Schema):
    """The Petastorm Unischema of a shard."""
    from intent.samples.petastorm_compat import install

    install()
    from petastorm.codecs import NdarrayCodec, ScalarCodec
    from petastorm.unischema import Unischema, UnischemaField
    from pyspark.sql.types import IntegerType, LongType, StringType

    scalars = [
        ("user_id", np.str_, StringType()),
        ("groups", np.int32, IntegerType()),
        ("start", np.int64, LongType()),
    ]
    fields = [UnischemaField(n, t, (), ScalarCodec(s), False) for n, t, s in scalars]
    for name, column in columns(schema).items():
        shape = (len(schema.profile),) if name == "profile" else (None, *column.tail)
        fields.append(UnischemaField(name, column.dtype.type, shape, NdarrayCodec(), False))
    return Unischema("Tracks", fields)


def needed_columns(schema: Schema) -> list[str]:
    """Columns of a shard that groups with the sources of `schema` are made of."""
    return ["user_id", "groups", "start", *columns(schema)]
