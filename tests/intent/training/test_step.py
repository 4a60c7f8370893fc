"""What the compiled steps do with windows of several lengths and with narrow ids."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.config import ModelConfig, TrainConfig
from intent.evaluation.predict import predict
from intent.models import dipn
from intent.samples.reader import TrackFeed
from intent.training import touched
from intent.training.comm import Solo
from intent.training.running_auc import BINS, LOGIT_SPAN
from intent.training.step import adam, clipped, make_scoring_step, make_step
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


NO_FLAGS = np.zeros(0, np.float32)


def batch(positions: int, seed: int, groups: int = 5) -> tuple:
    rng = np.random.default_rng(seed)
    ids = random_groups(SCHEMA, rng.integers(0, positions + 1, groups).tolist(), seed)
    inputs = {k: v[:, :positions] if v.ndim == 3 else v for k, v in ids.items()}
    return inputs, rng.integers(0, 2, (groups, 2)).astype(np.uint8), np.ones(groups, np.float32)


def test_each_length_is_compiled_once_for_any_number_of_groups(model):
    step = make_step(model, adam(TrainConfig(), model), TASKS, TrainConfig(), Solo())
    score = make_scoring_step(model, TASKS)
    compiled = []
    for seed, rung in enumerate([0, 0, 1, 0, 1]):
        groups = 5 + seed
        arrays = batch(LADDER[rung], seed, groups)
        outcome = step(*arrays, groups, 0.001 * seed, NO_FLAGS)  # a rate compiles nothing
        assert np.isfinite(outcome.loss) and outcome.counts.sum() == groups * 2
        assert score(arrays[0]).shape == (groups, 2)
        counts = {f.compiled.experimental_get_tracing_count() for f in (step, score)}
        compiled.append(counts)
    assert compiled == [{1}, {1}, {2}, {2}, {2}]


def test_the_counts_of_a_step_are_those_of_its_scores_before_the_update(model):
    inputs, labels, weights = batch(8, seed=3)
    weights[1] = 0
    scores = make_scoring_step(model, TASKS)(inputs).numpy()
    step = make_step(model, adam(TrainConfig(), model), TASKS, TrainConfig(), Solo())
    outcome = step(inputs, labels, weights, 4, 0.01, np.float32([2, 0]))
    p, y = scores[weights > 0].astype(np.float64), labels[weights > 0]
    place = (np.log(p / (1 - p)) + LOGIT_SPAN) * BINS / (2 * LOGIT_SPAN)
    expected = np.zeros((2, 2, BINS), np.int64)
    np.add.at(expected, (np.arange(2), y, place.astype(int)), 1)
    np.testing.assert_array_equal(outcome.counts, expected)
    assert outcome.counts.dtype == np.int64 and outcome.flags_F.tolist() == [2, 0]
    assert outcome.loss == pytest.approx(-np.log(np.where(y, p, 1 - p)).sum() / 4, rel=1e-5)


class LosesOne(Solo):
    """A communicator whose collective of one name fails, later than the others are done."""

    elastic = True  # else a single process reduces nothing

    def __init__(self, name: str) -> None:
        self.name, self.met = name, set()

    def allreduce(self, tensors, name="allreduce"):
        return [self.concatenate(t, name) for t in tensors]

    def concatenate(self, tensor, name):
        self.met.add(name)
        return tf.py_function(self.fail, [tensor], tensor.dtype) if name == self.name else tensor

    exchange = maximum = concatenate

    def fail(self, tensor):
        time.sleep(0.3)
        raise RuntimeError("a peer is gone")


COARSE = {"compression": "float16"}


@pytest.mark.parametrize(
    ("lost", "settings", "waits"),
    [
        ("step.figures", COARSE, True),
        pytest.param("step.figures", COARSE, False, id="control"),
        ("step.rows", {}, True),
        pytest.param("step.0", {}, True, marks=pytest.mark.slow),
        pytest.param("step.0", {}, False, id="control_of_gradients", marks=pytest.mark.slow),
        pytest.param("step.touched", {}, True, marks=pytest.mark.slow),
        pytest.param("step.rows.chunks", COARSE, True, marks=pytest.mark.slow),
        ("step.0.sums", COARSE, True),
    ],
)
def test_a_step_that_loses_a_peer_changes_nothing(model, monkeypatch, lost, settings, waits):
    """Whichever sum fails. The controls apply whatever is there: then the weights do change."""
    monkeypatch.setattr(touched, "LEAST_BYTES", 100)
    config, comm = TrainConfig(**settings), LosesOne(lost)
    optimizer = adam(config, model)
    variables = [*model.variables, *optimizer.variables]
    before = [v.numpy() for v in variables]
    if not waits:
        monkeypatch.setattr(tf, "control_dependencies", lambda _: nullcontext())
    step = make_step(model, optimizer, TASKS, config, comm)
    with pytest.raises(tf.errors.OpError, match="a peer is gone"):
        step(*batch(8, seed=4), 5, 0.1, NO_FLAGS)
    time.sleep(0.1)
    assert lost in comm.met and len(comm.met) > 2
    same = [np.array_equal(a, v.numpy()) for a, v in zip(before, variables, strict=True)]
    assert all(same) == waits


def test_ids_enter_the_graph_as_they_are_stored_and_are_widened_there(model):
    inputs, _, _ = batch(4, seed=0)
    assert {ids.dtype.name for ids in inputs.values()} == {"uint8", "uint16"}
    score = make_scoring_step(model, TASKS).compiled.get_concrete_function(inputs)
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


def test_a_norm_is_that_of_all_gradients_together():
    gradients = [tf.constant([3.0, 0.0]), tf.constant([[4.0]])]
    assert [g.numpy().tolist() for g in clipped(gradients, 2.5)] == [[1.5, 0], [[2.0]]]
    for norm in (5.1, None):
        assert [g.numpy().tolist() for g in clipped(gradients, norm)] == [[3, 0], [[4]]]
