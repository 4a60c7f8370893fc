"""A model that learns from thinned negatives says, in the end, how often people really buy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from intent import metrics
from intent.config import TrainConfig
from intent.errors import IntentError
from intent.evaluation.evaluate import evaluate
from intent.evaluation.predict import Predictions, predict
from intent.features.history import key
from intent.samples.cleaning import keep_negatives
from intent.schema import TASKS
from intent.training.comm import Solo
from tests.support import small_training

RATE = 0.1
BATCH = 256


class Shop(small_training.MemoryFeed):
    """Groups of `small_training` with nested labels of which it knows the probabilities."""

    def __init__(self, groups: int, rate: float, seed: int) -> None:
        super().__init__(groups, BATCH, Solo(), seed)
        level = self.inputs["profile"][:, 0]
        self.truth = np.stack([0.002 * level**2, 0.04 * level], axis=1)
        lot = np.random.default_rng(seed + 1).random(groups)
        self.labels = (lot[:, None] < self.truth).astype(np.uint8)
        cuts = key(np.zeros(groups, int), np.arange(groups))
        kept = keep_negatives(cuts, np.array([seed], np.uint64), self.labels, rate, seed)
        self.groups, self.labels, self.truth = int(kept.sum()), self.labels[kept], self.truth[kept]
        self.inputs = {name: ids[kept] for name, ids in self.inputs.items()}


@cache
def learnt():
    """A logit for each level of the profile, learnt from thinned negatives."""
    import keras

    from intent.training.step import adam, make_step, pick_inputs

    feed, tasks = Shop(60_000, RATE, seed=3), [task.name for task in TASKS]
    level = keras.Input((1,), name="profile", dtype="uint8")
    logits = {t: keras.layers.Flatten()(keras.layers.Embedding(10, 1)(level))[:, 0] for t in tasks}
    model = keras.Model({"profile": level}, logits)
    step = make_step(model, adam(TrainConfig(), model), tasks, TrainConfig(), Solo())
    for epoch, rate in enumerate((0.1, 0.03, 0.01)):
        for b in feed.batches(epoch):
            inputs = pick_inputs(model, b.inputs)
            step(inputs, b.labels, b.weights, b.total, rate, np.zeros(0, np.float32))
    return model


def test_scores_are_true_rates_whatever_samples_they_are_judged_on():
    whole, thin = Shop(20_000, 1.0, seed=5), Shop(60_000, RATE, seed=6)
    on_whole = predict(learnt(), whole, learnt_rate=RATE)
    on_thin = predict(learnt(), thin, learnt_rate=RATE, kept_rate=RATE)
    raw = predict(learnt(), whole)
    assert on_whole.weights.tolist() == [1.0] * whole.groups
    assert on_thin.weights.sum() == pytest.approx(60_000, rel=0.02)
    for found in (on_whole, on_thin):
        users = np.arange(len(found.labels)) % 50
        result = evaluate(
            found.scores, found.labels, users, TASKS, weights=found.weights, resamples=20
        )
        for t, task in enumerate(TASKS):
            base = whole.labels[:, t].mean()
            assert result["base_rate"][task.name]["value"] == pytest.approx(base, rel=0.06)
            assert result["mean_score"][task.name]["value"] == pytest.approx(base, rel=0.12)
            assert result["calibration_error"][task.name]["value"] < 0.02
    for t, task in enumerate(TASKS):  # the negative control: what the model itself says
        error = metrics.calibration(raw.scores[task.name], whole.labels[:, t])["error"]
        assert error > 0.1


def test_a_feed_out_of_order_keeps_scores_labels_and_weights_together(tmp_path):
    found = predict(learnt(), Shop(3_000, RATE, seed=7), RATE, RATE)
    negative = ~found.labels.any(axis=1)
    assert (found.weights == np.where(negative, 1 / RATE, 1.0)).all()
    found.save(tmp_path / "predictions.parquet")
    again = Predictions.load(tmp_path / "predictions.parquet")
    assert (again.weights == found.weights).all() and (again.labels == found.labels).all()
    assert all((again.scores[task] == p).all() for task, p in found.scores.items())


def test_without_the_longest_task_scores_are_refused():
    import keras

    one = learnt()
    short = keras.Model(one.input, {"realtime": one.output["realtime"]})
    feed = Shop(300, RATE, seed=8)
    with pytest.raises(IntentError, match="from 0.1 of the negatives, and only realtime"):
        predict(short, feed, learnt_rate=RATE)
    found = predict(short, feed, kept_rate=RATE)  # judged on thinned samples is another matter
    assert found.labels.shape == (feed.groups, 1)
    bought_later = found.weights == 1
    assert bought_later.sum() > found.labels.sum()  # weights know the task that was not learnt
