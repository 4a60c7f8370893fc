"""What the compiled steps do with windows of several lengths and with narrow ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.config import ModelConfig, TrainConfig
from intent.evaluation.predict import predict
from intent.models import dipn
from intent.samples.reader import TrackFeed
from intent.training.comm import Solo
from intent.training.step import adam, make_scoring_step, make_training_step
from tests.intent.groups import random_groups, small_schema
from tests.support import small_training as small
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs

# 300 ids need 16 bits.
SCHEMA = small_schema(length=8, largest=300).keep(["tap", "profile"])
TASKS = [t.name for t in SCHEMA.tasks]
LADDER = (4, 8)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    sizes = {"hidden": 3, "action_width": 3, "context_width": 3, "branch_units": []}
    return dipn.build(SCHEMA, ModelConfig(**sizes))


def batch(positions: int, seed: int) -> tuple:
    rng = np.random.default_rng(seed)
    ids = random_groups(SCHEMA, rng.integers(0, positions + 1, 5).tolist(), seed)
    inputs = {k: v[:, :positions] if v.ndim == 3 else v for k, v in ids.items()}
    return inputs, rng.integers(0, 2, (5, 2)).astype(np.uint8), np.ones(5, np.float32)


def test_each_length_is_compiled_once(model):
    step = make_training_step(model, adam(TrainConfig(), model), TASKS, {}, Solo())
    score = make_scoring_step(model, TASKS)
    compiled = []
    for seed, rung in enumerate([0, 0, 1, 0, 1]):
        arrays = batch(LADDER[rung], seed)
        loss, _, scores = step(*arrays, tf.constant(5.0), tf.constant(0.0))
        assert np.isfinite(loss) and scores.shape == (5, 2)
        score(arrays[0])
        counts = {f.experimental_get_tracing_count() for f in (step, score)}
        compiled.append(counts)
    assert compiled == [{1}, {1}, {2}, {2}, {2}]


def test_ids_enter_the_graph_as_they_are_stored_and_are_widened_there(model):
    inputs, _, _ = batch(4, seed=0)
    assert {ids.dtype.name for ids in inputs.values()} == {"uint8", "uint16"}
    score = make_scoring_step(model, TASKS).get_concrete_function(inputs)
    taken = {t.dtype.name for t in tf.nest.flatten(score.structured_input_signature)}
    assert taken == {"uint8", "uint16"}
    entries = [op for op in score.graph.get_operations() if op.type == "Placeholder"]
    entries = [op for op in entries if op.outputs[0].dtype in (tf.uint8, tf.uint16)]
    assert len(entries) == len(inputs)
    reads = {"IntentLookup", "StridedSlice", "Cast", "Shape"}  # the second looks at the marker
    for op in entries:
        assert {user.type for user in op.outputs[0].consumers()} <= reads


class CutFeed(small.MemoryFeed):
    """The same groups, each batch cut to the shortest of 2, 4, 6 that holds its windows."""

    lengths: set[int] = set()  # of the batches of all feeds

    def batches(self, epoch: int, start: int = 0) -> Iterator:
        for whole in super().batches(epoch, start):
            tap = whole.inputs["tap"]
            longest = int((tap[..., 0] > 0).sum(axis=1).max())
            positions = max(2, -(-longest // 2) * 2)
            self.lengths.add(positions)
            yield replace(whole, inputs=whole.inputs | {"tap": tap[:, :positions]})


def test_training_on_cut_batches_is_training_on_full_ones(tmp_path, monkeypatch):
    """Two groups a step, so that the lengths differ."""
    options = {"groups": 30, "epochs": 1, "batch_size": 2}
    full, expected, _ = small.train(tmp_path / "full", **options)
    monkeypatch.setattr(small, "MemoryFeed", CutFeed)
    cut, got, _ = small.train(tmp_path / "cut", **options)
    assert CutFeed.lengths == {2, 4, 6}
    assert cut["loss"] == pytest.approx(full["loss"], rel=1e-5)
    assert max(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True)) < 1e-4
    assert cut["validation"] == pytest.approx(full["validation"], rel=1e-4)


def test_scores_of_real_samples_do_not_depend_on_the_lengths_of_batches(tmp_path):
    samples = build_samples(tmp_path, random_logs(users=6), row_group=24, length=40)
    schema = samples.schema.keep(["browse", "profile"])
    model = dipn.build(schema, ModelConfig(hidden=3, action_width=3, branch_units=[]))
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(0, 0.3, w.shape))
    full = TrackFeed(tmp_path, samples, schema, batch=16)
    short = replace(full, bucket_lengths=True)
    lengths = {b.inputs["browse"].shape[1] for b in short.batches(0)}
    assert min(lengths) < samples.schema.length  # else nothing is tested
    expected, got = scores(model, full), scores(model, short)
    assert expected.keys() == got.keys() and len(expected) == samples.groups
    assert max(abs(got[group] - score) for group, score in expected.items()) < 1e-6


def scores(model: keras.Model, feed: TrackFeed) -> dict:
    """(user, t0) -> score."""
    found = predict(model, feed)
    return dict(
        zip(zip(found.users, found.times, strict=True), found.scores["realtime"], strict=True)
    )
