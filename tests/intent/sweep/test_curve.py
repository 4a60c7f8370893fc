"""The figure by which runs are compared."""

from __future__ import annotations

import json

import pytest

from intent.sweep.curve import kept, scores_of
from intent.training.stopping import Choice, mean_auc
from tests.support.small_training import config


def record(epoch, realtime, longterm, kind="validation"):
    values = {"auc_realtime": realtime, "auc_longterm": longterm, "log_loss_realtime": 9.0}
    return {"kind": kind, "step": 10 * epoch, "epoch": epoch, "groups": 50} | values


@pytest.fixture
def run(tmp_path):
    records = [record(0, 0.5, 0.9, "step"), record(0, 0.6, 0.8), record(1, None, 0.75)]
    records += [record(2, 0.5, 0.9), record(3, None, None)]
    text = "".join(json.dumps(r) + "\n" for r in records)
    (tmp_path / "metrics.jsonl").write_text(text + '{"kind": "validation", "st')
    return tmp_path


def test_scores_are_mean_aucs_of_validations(run):
    scores = scores_of(run)
    assert [s.epoch for s in scores] == [1, 2, 3, 4]
    assert [s.value for s in scores] == [pytest.approx(0.7), 0.75, pytest.approx(0.7), None]
    assert scores_of(run / "no run") == []


def test_the_score_is_that_of_the_weights_that_the_run_keeps(run):
    scores = scores_of(run)
    choice = Choice()
    for score in scores:  # as training itself chooses
        value = float("nan") if score.value is None else score.value
        choice = choice.seen(value, score.epoch, config().train)
    assert kept(scores, keep_best=True).epoch == choice.updates == 2
    assert kept(scores, keep_best=True).value == choice.best
    assert kept(scores, keep_best=False).epoch == 4
    assert kept([], True) is None and kept(scores[3:], True) is None
    assert mean_auc({"auc_a": 0.7, "auc_b": 0.7}, ["a", "b"]) == 0.7


def test_of_equals_the_earliest_counts(tmp_path):
    text = "".join(json.dumps(record(epoch, 0.7, 0.7)) + "\n" for epoch in range(3))
    (tmp_path / "metrics.jsonl").write_text(text)
    assert kept(scores_of(tmp_path), True).epoch == 1
