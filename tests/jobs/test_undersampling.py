"""Thinned negatives through the jobs: training, evaluation and export know of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from intent.config import load_config
from intent.errors import IntentError
from intent.samples import manifest as manifests
from jobs.evaluate import evaluate_run
from jobs.export import export_run
from jobs.train import train
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
    from intent.samples.feed import TrackFeed

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
