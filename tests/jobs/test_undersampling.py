"""Thinned negatives through the jobs: training, evaluation and export know of them.

Both kinds: those that the samples left out, and those that an epoch leaves out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from intent.config import load_config
from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples.days import split_days
from intent.samples.reader import TrackFeed
from intent.samples.undersampling import learnt_label_rates
from intent.training.comm import Solo
from jobs.evaluate import evaluate_run, load_model
from jobs.export import export_run
from jobs.train import feeds, train
from tests.support import build
from tests.support.raw_logs import random_logs

RATE = 0.25
SMALL = ["model.hidden=4", "model.action_width=4", "model.context_width=4", "train.batch_size=64"]


def samples_that_kept(rate: float, root: Path) -> Path:
    """Samples of a few days whose manifest says that `rate` of the negatives were kept."""
    made = build.build_samples(root, random_logs(users=16, per_day=8, seed=4))
    settings = made.settings | {"negative_rate": rate}
    manifests.save(root, replace(made, settings=settings), build.DICTIONARIES)
    return root


def test_a_model_that_could_never_be_put_right_is_not_trained(tmp_path):
    config = load_config(overrides=[*SMALL, "model.tasks=[realtime]"])
    thin = samples_that_kept(RATE, tmp_path / "thin")
    with pytest.raises(IntentError, match="can be put right with longterm beside them"):
        train(thin, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_evaluation_and_device_give_the_same_scores_put_right(tmp_path):
    from intent.edge.runtime import Bundle

    thin, run = samples_that_kept(RATE, tmp_path / "thin"), tmp_path / "run"
    train(thin, run, load_config(overrides=SMALL))
    result, found = evaluate_run(run, thin)
    assert result["negative_rate"] == result["negative_rate_of_training"] == RATE
    assert len([note for note in result["notes"] if "of the negatives" in note]) == 2
    assert set(found.weights) == {1.0, 1 / RATE}
    share = np.average(found.labels[:, 1], weights=found.weights)
    assert result["base_rate"]["longterm"]["value"] == pytest.approx(share)
    assert "0.25 of the negatives" in (run / "report.html").read_text()

    export_run(run, "none")
    made = manifests.load(thin)
    feed = TrackFeed(thin, made.only(result["days"]), made.schema, len(found.labels), shuffle=False)
    batch = next(feed.batches(0))
    device = Bundle.load(run / "device").predict({n: v[:40] for n, v in batch.inputs.items()})
    for task, p in found.scores.items():
        np.testing.assert_allclose(device[task], p[:40], atol=1e-5)

    manifests.save(thin, replace(made, settings=made.settings | {"negative_rate": 1.0}),
                   build.DICTIONARIES)  # fmt: skip
    whole, again = evaluate_run(run, thin)  # the model's past stays, only the weights change
    assert whole["negative_rate"] == 1.0 and whole["negative_rate_of_training"] == RATE
    assert set(again.weights) == {1.0}
    assert all((again.scores[task] == p).all() for task, p in found.scores.items())
    assert whole["base_rate"]["longterm"]["value"] > result["base_rate"]["longterm"]["value"]


def test_training_leaves_out_negatives_and_evaluation_does_not(tmp_path):
    thin = samples_that_kept(1.0, tmp_path / "samples")
    made = manifests.load(thin)
    for weigh in (True, False):
        thinned = ["train.negative_rate=0.2", f"train.weigh_negatives={weigh}"]
        training, held_out = feeds(thin, made, load_config(overrides=[*SMALL, *thinned]), Solo())
        assert (training.negative_rate, training.weigh_negatives) == (0.2, weigh)
        assert (held_out.negative_rate, held_out.weigh_negatives) == (1.0, False)
    training, _ = feeds(thin, made, load_config(overrides=SMALL), Solo())
    assert (training.negative_rate, training.weigh_negatives) == (1.0, False)


def test_weights_need_no_score_of_the_longest_task(tmp_path):
    """The negatives are those of all tasks of the samples, also of those that nobody learns."""
    thin = samples_that_kept(1.0, tmp_path / "samples")
    drawn = ["model.tasks=[realtime]", "train.negative_rate=0.2"]
    with pytest.raises(IntentError, match="or train.weigh_negatives=true"):
        train(thin, tmp_path / "run", load_config(overrides=[*SMALL, *drawn]))
    config = load_config(overrides=[*SMALL, *drawn, "train.weigh_negatives=true"])
    feed, _ = feeds(thin, manifests.load(thin), config, Solo())
    known = feed.manifest
    kept = sum(batch.total for batch in feed.batches(0))
    positive = known.groups - known.negatives  # in any task
    assert kept == pytest.approx(positive + 0.2 * known.negatives, abs=1)
    assert positive > 10 * sum(s.positives["realtime"] for s in known.shards)


@pytest.mark.parametrize("weigh", [False, True])
def test_scores_are_right_on_average_whatever_was_left_out(tmp_path, monkeypatch, weigh):
    """Half of the negatives left out by the samples, four fifths of those left by every epoch."""
    from intent.edge.runtime import Bundle
    from intent.evaluation.predict import predict
    from intent.models import tasks
    from intent.training.run_dir import read_run

    logs, run = random_logs(users=60, per_day=8, seed=4), tmp_path / "run"
    whole = build.build_samples(tmp_path / "whole", logs, row_group=128)
    thin = build.build_samples(tmp_path / "thin", logs, row_group=128, negative_rate=0.5)
    started: list[dict] = []  # noted and not done: what is to be seen must have been learnt
    monkeypatch.setattr(tasks, "start_from_base_rates", lambda _, rates: started.append(rates))
    config = load_config(
        overrides=[
            "model.sources=[profile]", "model.hidden=4", "model.context_width=4",
            "train.batch_size=16", "train.epochs=10", "train.learning_rate=0.003",
            "train.negative_rate=0.2", f"train.weigh_negatives={weigh}",
        ]
    )  # fmt: skip
    train(tmp_path / "thin", run, config)
    days, held_out = split_days(whole, 1, purge=False)
    assert started == [learnt_label_rates(thin.only(days), config.train)]

    result, found = evaluate_run(run, tmp_path / "whole")
    rate = 0.5 if weigh else 0.1
    assert result["negative_rate_of_training"] == rate and result["negative_rate"] == 1.0
    true = {task.name: whole.only(days).label_rate(task.name) for task in whole.schema.tasks}
    assert found.scores["longterm"].mean() == pytest.approx(true["longterm"], rel=0.2)
    assert found.scores["realtime"].mean() == pytest.approx(true["realtime"], rel=0.4)
    feed = TrackFeed(
        tmp_path / "whole", whole.only(held_out), whole.schema.keep(["profile"]), 256, shuffle=False
    )
    wrong = [1.0, 0.5] if rate == 0.1 else [1.0, 0.1]  # nothing put right, or for the other rate
    for other in wrong:
        off = predict(load_model(read_run(run)), feed, other).scores["longterm"].mean()
        assert abs(off / true["longterm"] - 1) > 0.3

    export_run(run, "none")
    batch = next(feed.batches(0))
    device = Bundle.load(run / "device").predict({n: v[:40] for n, v in batch.inputs.items()})
    for task, p in found.scores.items():
        np.testing.assert_allclose(device[task], p[:40], atol=1e-5)
