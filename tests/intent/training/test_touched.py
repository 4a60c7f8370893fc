"""Which rows of large tables a step touches."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.config import ModelConfig, TrainConfig
from intent.models import dipn
from intent.training import touched
from intent.training.touched import Table, large_tables, touched_rows, watched_tables
from tests.intent.groups import small_schema
from tests.support.thread_ranks import on_ranks

SCHEMA = small_schema(length=8, largest=300)
SIZES = {"hidden": 3, "action_width": 3, "context_width": 3, "branch_units": []}
TABLE = Table(variable=4, source="tap", column=1, rows=100)


def build(sources=None, **settings) -> keras.Model:
    return dipn.build(SCHEMA, ModelConfig(sources=sources, **SIZES, **settings))


@pytest.mark.parametrize("settings", [{}, {"early_fusion": True}, {"sources": ["tap", "profile"]}])
def test_tables_are_found_with_their_ids(settings, monkeypatch):
    monkeypatch.setattr(touched, "LEAST_BYTES", 0)
    model = build(**settings)
    found = large_tables(model)
    for table in found:
        name = model.trainable_variables[table.variable].path
        view = SCHEMA.view(table.source)
        assert name == f"{view.name}_embedding/tables/{view.features[table.column].name}"
        assert table.rows == view.features[table.column].rows
    views = [v for v in SCHEMA.views if v.name in model.input]
    assert len(found) == sum(v.width for v in views)


def test_a_table_is_watched_where_a_step_has_fewer_actions_than_it_has_rows(monkeypatch):
    monkeypatch.setattr(touched, "LEAST_BYTES", 0)
    model = build()
    tables = large_tables(model)

    def watched(**settings):
        return watched_tables(model, TrainConfig(**settings), SCHEMA.length)

    rows = sorted({t.rows for t in tables})
    assert len(rows) > 1 and rows[-1] > 2 * SCHEMA.length
    for batch in (1, 2, 3, 10**6):
        found = watched(batch_size=batch)
        assert found == [t for t in tables if t.rows > batch * SCHEMA.length]
    assert watched(batch_size=1) and not watched(batch_size=10**6)
    assert watched(batch_size=10**6, sparse_embeddings="always") == tables
    assert watched(batch_size=1, sparse_embeddings="never") == []


def test_small_tables_travel_whole(monkeypatch):
    assert large_tables(build()) == []
    monkeypatch.setattr(touched, "LEAST_BYTES", 1000)
    found = large_tables(build())
    assert found
    for table in found:
        feature = SCHEMA.view(table.source).features[table.column]
        assert 4 * feature.rows * feature.embedding >= 1000
    assert large_tables(build(["history", "profile"])) == []


def rows_of(*ids: list[int]) -> list[np.ndarray]:
    """What each rank is told that has these ids."""

    def work(comm):
        mine = np.zeros((1, len(ids[comm.rank]), 2), np.uint8)
        mine[..., 1] = ids[comm.rank]
        inputs = {"tap": tf.constant(mine)}
        rows, sent = touched_rows([TABLE], inputs, comm, tf.constant(comm.size))
        assert int(sent) == 2 * comm.sent["step.touched"] * (comm.size - 1) // comm.size
        return rows[TABLE.variable].numpy()

    return on_ranks(len(ids), work)


def test_every_rank_learns_the_union():
    for rows in rows_of([7, 3, 3], [], [99] * 256):
        assert rows.tolist() == [0, 3, 7, 99]


def test_a_table_of_which_much_is_touched_travels_whole():
    assert len(rows_of(range(1, 70), [])[0]) == 70
    assert len(rows_of(range(1, 50), range(40, 90))[1]) == 100


def test_gradients_outside_the_touched_rows_are_exactly_zero(monkeypatch):
    """In both forms of the layers: what makes the sum over touched rows the whole sum."""
    from intent.models import kernels
    from tests.intent.groups import random_groups

    monkeypatch.setattr(touched, "LEAST_BYTES", 0)
    model = build()
    inputs = {n: tf.constant(x) for n, x in random_groups(SCHEMA, [8, 3, 0]).items()}
    raw = [v.value for v in model.trainable_variables]
    for form in (kernels.portable(), keras.name_scope("kernels")):
        with form, tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_sum(x) for x in model(inputs).values()])
        gradients = tape.gradient(loss, raw)
        tables, some = large_tables(model), 0.0
        for table in tables:
            gradient = tf.convert_to_tensor(gradients[table.variable]).numpy()
            seen = np.unique(inputs[table.source][..., table.column])
            assert (np.delete(gradient, seen, axis=0) == 0).all()
            assert (gradient[0] == 0).all()
            some = max(some, np.abs(gradient).max())
        assert some > 0
