"""The controls against leaks: where labels are by lot or of other moments, nothing is learnt.

A network that has learnt nothing still is some function of informative inputs, so its AUC is not
0.5 but scatters around it, by more than the interval over users says. So the mean over several
seeds is judged, beside the same training on the true labels.
"""

from __future__ import annotations

import numpy as np
import pytest

from intent.config import SamplesConfig, load_config
from jobs.build_samples import build_samples
from jobs.train import feeds, train
from tests.support.commands import intent


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    done = intent("simulate", "--out", root / "logs", "--users", 160, "--days", 6, "--rate", 0.1)
    assert done.status == 0, done.err
    build_samples(root / "logs", root / "samples", SamplesConfig(length=16, cuts_per_day=10))
    return root / "samples"


def aucs(samples, folder, seeds: int, control: str | None) -> np.ndarray:
    """Held-out AUC of both tasks for each seed, [seeds, 2]."""
    found = []
    for seed in range(seeds):
        config = load_config(
            overrides=[
                *([f"train.{control}=true"] if control else []),
                f"train.seed={seed}", "train.batch_size=64",
                "train.learning_rate=0.005", "model.hidden=8", "model.action_width=8",
                "model.branch_units=[8]",
            ]
        )  # fmt: skip
        summary = train(samples, folder / f"{control}-{seed}", config)
        found.append([summary["validation"][f"auc_{t}"] for t in ("realtime", "longterm")])
    return np.array(found)


def test_labels_drawn_by_lot_fall_to_chance_and_true_ones_do_not(samples, tmp_path):
    by_lot, true = aucs(samples, tmp_path, 4, "random_labels"), aucs(samples, tmp_path, 1, None)
    assert abs(by_lot.mean() - 0.5) < 0.1, by_lot
    assert true.mean() > 0.65 and true.mean() - by_lot.mean() > 0.12, (true, by_lot)


@pytest.mark.slow
def test_labels_that_run_backwards_fall_to_chance_and_true_ones_do_not(samples, tmp_path):
    backwards = aucs(samples, tmp_path, 4, "reversed_labels")
    true = aucs(samples, tmp_path, 1, None)
    assert abs(backwards.mean() - 0.5) < 0.1, backwards
    assert true.mean() > 0.65 and true.mean() - backwards.mean() > 0.12, (true, backwards)


def test_there_is_one_control_at_a_time():
    from intent.errors import UsageError
    from jobs.train import check_settings

    both = ["train.random_labels=true", "train.reversed_labels=true"]
    with pytest.raises(UsageError, match="two controls"):
        check_settings(load_config(overrides=both))
    check_settings(load_config(overrides=both[1:]))


def test_held_out_days_are_never_trained_on(samples):
    from intent.samples.reader import open_samples
    from intent.training.comm import Solo

    manifest = open_samples(samples)
    training, held_out = feeds(samples, manifest, load_config(), Solo())
    assert training.manifest.days == manifest.days[:-1]
    assert held_out.manifest.days == manifest.days[-1:]
    purged, _ = feeds(samples, manifest, load_config(overrides=["train.purge=true"]), Solo())
    # a purchase within a day of a cut on the day before would lie in the held-out day
    assert purged.manifest.days == manifest.days[:-2]
