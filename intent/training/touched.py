"""Which rows of the large embedding tables a step touches on any rank.

The gradient of a table is 0 in every row whose id no rank has in its batch. Ranks find the rows
that one of them has (their union) before the gradients are there, from the ids alone, and then add
up only those. The sums are the same numbers as the whole table's.

That takes two more messages a step, so it is done only for a table with more rows than a step can
have actions (`train.sparse_embeddings: auto`). Real ids follow Zipf's law: as many actions as rows
touch about a quarter of them, three times as many a half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from intent.config import TrainConfig
from intent.models.embedding import ActionEmbedding
from intent.training import traffic
from intent.training.comm import Communicator

LEAST_BYTES = 256 * 1024  # a smaller table is not worth another message
MOST_SHARE = 0.75  # of the rows; beyond it the whole table travels


@dataclass(frozen=True)
class Table:
    """A large table: its variable's position among the model's, and where its ids are.

    Attributes:
        variable: position in `model.trainable_variables`.
        source: the input that holds its ids, in the last axis at `column`.
        rows: of the table.
    """

    variable: int
    source: str
    column: int
    rows: int


def watched_tables(model: keras.Model, config: TrainConfig, length: int) -> list[Table]:
    """The large tables of whose rows only those are summed that a step touches.

    `length` is that of a full window. The choice depends on nothing that ranks could differ in.
    """
    least = {"never": float("inf"), "always": 0, "auto": config.batch_size * length}
    return [t for t in large_tables(model) if t.rows > least[config.sparse_embeddings]]


def large_tables(model: keras.Model) -> list[Table]:
    """The tables of the views' embedding layers with at least LEAST_BYTES of float32."""
    positions = {id(v): i for i, v in enumerate(model.trainable_variables)}
    found = []
    for layer in model.layers:
        if not isinstance(layer, ActionEmbedding):
            continue
        for column, (name, rows, width) in enumerate(layer.lookup.tables):
            variable = positions.get(id(layer.lookup.weights_by_feature[name]))
            if variable is not None and 4 * rows * width >= LEAST_BYTES:
                found.append(Table(variable, layer.input.name, column, rows))
    return found


def touched_rows(
    tables: Sequence[Table],
    inputs: Mapping[str, tf.Tensor],
    comm: Communicator,
    size: tf.Tensor,
) -> tuple[dict[int, tf.Tensor], tf.Tensor]:
    """Variable's position -> the rows to be summed, int64 ascending: the union over the ranks.

    All rows of a table of which too many are touched. Row 0, padding, is always among them, so
    that no message is empty. And the bytes that this rank sends to find them.
    """
    if not tables:
        return {}, tf.constant(0, tf.int64)
    own = tf.concat([_touched(table, inputs[table.source]) for table in tables], axis=0)
    parts = tf.split(comm.maximum(own, "step.touched"), [table.rows for table in tables])
    chosen = {
        table.variable: _chosen(part > 0, table.rows)
        for table, part in zip(tables, parts, strict=True)
    }
    return chosen, traffic.of_sum(tf.size(own), size)


def _touched(table: Table, ids: tf.Tensor) -> tf.Tensor:
    """uint8 [rows], 1 where the id occurs in [..., F], and in row 0."""
    column = tf.reshape(tf.cast(ids[..., table.column], tf.int32), [-1, 1])
    one = tf.ones_like(column[:, 0], tf.uint8)
    start = tf.one_hot(0, table.rows, dtype=tf.uint8)
    return tf.tensor_scatter_nd_update(start, column, one)


def _chosen(touched: tf.Tensor, rows: int) -> tf.Tensor:
    count = tf.math.count_nonzero(touched)
    return tf.where(touched | (tf.cast(count, tf.float32) > MOST_SHARE * rows))[:, 0]
