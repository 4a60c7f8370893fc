"""Validation speaks of all held-out groups, whatever share of the negatives a run learns from."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as sk

from intent.errors import IntentError
from intent.metrics import log_loss
from intent.samples.undersampling import recalibrate
from intent.schema import TASKS
from intent.training.comm import Solo
from intent.training.step import make_scoring_step
from intent.training.validate import put_right, score_feed, summarize
from tests.support import small_training as small
from tests.support.small_training import train
from tests.support.thread_ranks import on_ranks

NAMES = [task.name for task in TASKS]


def test_scores_of_thinned_negatives_are_put_right_column_by_column():
    rng = np.random.default_rng(0)
    scores = np.sort(rng.random((50, 2)), axis=1).astype(np.float32)
    right = put_right(scores, NAMES, TASKS, 0.2)
    expected = recalibrate(dict(zip(NAMES, scores.T, strict=True)), TASKS, 0.2)
    assert right.dtype == np.float32 and right.shape == scores.shape
    for column, task in enumerate(NAMES):
        np.testing.assert_array_equal(right[:, column], expected[task])
    np.testing.assert_array_equal(put_right(scores, NAMES, TASKS, 1.0), scores)
    alone = put_right(scores[:, 1:], NAMES[1:], TASKS, 0.2)  # a model of the longest task only
    np.testing.assert_array_equal(alone, right[:, 1:])


def test_the_log_loss_is_lower_where_scores_are_put_right():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 0.3, 20_000)
    labels = np.repeat((rng.random(len(p)) < p)[:, None], 2, axis=1).astype(np.uint8)
    learnt = np.repeat((p / (p + 0.2 * (1 - p)))[:, None], 2, axis=1)  # among thinned negatives
    found = summarize(put_right(learnt, NAMES, TASKS, 0.2), labels, NAMES)
    assert found["log_loss_longterm"] == pytest.approx(log_loss(p, labels[:, 1]))
    assert summarize(learnt, labels, NAMES)["log_loss_longterm"] > 1.2 * found["log_loss_longterm"]


def test_a_run_validates_with_the_rate_that_it_learns_at(tmp_path):
    """The feed in memory gives all groups, so both runs learn the same model."""
    thin, weighed = (
        train(tmp_path / weigh, negative_rate=0.2, weigh_negatives=weigh)[0]["validation"]
        for weigh in ("false", "true")
    )
    assert thin["auc_longterm"] == weighed["auc_longterm"]
    assert abs(thin["log_loss_longterm"] - weighed["log_loss_longterm"]) > 0.01


def test_the_auc_over_ranks_is_scikit_learn_s_of_all_groups():
    """90 groups in batches of 16, which 3 ranks share unevenly; with ties too."""
    model, rng = small.model(small.config()), np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(0, 0.5, w.shape))
    compiled = make_scoring_step(model, NAMES)
    whole = small.MemoryFeed(90, 16, Solo())

    def rounded(inputs):
        return tf.round(40 * compiled(inputs)) / 40

    for score, distinct in ((compiled, range(60, 91)), (rounded, range(2, 31))):
        found = {
            size: on_ranks(
                size,
                lambda comm, score=score: score_feed(
                    model, score, small.MemoryFeed(90, 16, comm), comm
                ),
            )
            for size in (1, 2, 3)
        }
        for shares in found.values():
            for p, y in shares:  # every rank knows all
                np.testing.assert_array_equal(p, shares[0][0])
                told = summarize(p, y, NAMES)
                assert told["groups"] == 90 and (y.sum(axis=0) == whole.labels.sum(axis=0)).all()
                for t, task in enumerate(NAMES):
                    assert told[f"auc_{task}"] == pytest.approx(sk.roc_auc_score(y[:, t], p[:, t]))
                    assert len(np.unique(p[:, t])) in distinct
                    one = summarize(*found[1][0], NAMES)[f"auc_{task}"]
                    assert told[f"auc_{task}"] == pytest.approx(one, abs=1e-2)


def test_groups_that_two_ranks_both_score_are_noticed():
    """The control: each rank reads everything."""
    model = small.model(small.config())
    score = make_scoring_step(model, NAMES)
    with pytest.raises(IntentError, match="scored 180 groups of 90"):
        on_ranks(2, lambda comm: score_feed(model, score, small.MemoryFeed(90, 16, Solo()), comm))
