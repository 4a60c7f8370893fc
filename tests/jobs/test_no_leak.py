"""The control against leaks: where labels are drawn by lot, nothing can be learnt.

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


CONTROLS = ("random_labels", "reversed_labels")
FEWER = "model.sources=[tap,browse,history,profile]"  # compiles in less time


def aucs(samples, folder, seeds: int, *settings: str) -> np.ndarray:
    """Held-out AUC of both tasks for each seed, [seeds, 2]."""
    found = []
    for seed in range(seeds):
        config = load_config(
            overrides=[
                f"train.seed={seed}", "train.batch_size=64", "train.learning_rate=0.005",
                "model.hidden=8", "model.action_width=8", "model.branch_units=[8]", *settings,
            ]
        )  # fmt: skip
        summary = train(samples, folder / str(seed), config)
        found.append([summary["validation"][f"auc_{t}"] for t in ("realtime", "longterm")])
    return np.array(found)


def check(samples, folder, seeds: int, control: str, *settings: str) -> None:
    """The control falls to chance; the same training on true labels does not."""
    blind = aucs(samples, folder / control, seeds, f"train.{control}=true", *settings)
    true = aucs(samples, folder / "true", 1, *settings)
    assert abs(blind.mean() - 0.5) < 0.1, blind
    assert true.mean() > 0.65 and true.mean() - blind.mean() > 0.12, (true, blind)


def test_labels_drawn_by_lot_fall_to_chance_and_true_ones_do_not(samples, tmp_path):
    check(samples, tmp_path, 3, "random_labels", FEWER)


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS)
def test_the_whole_network_learns_nothing_from_a_control(control, samples, tmp_path):
    check(samples, tmp_path, 4, control)


@pytest.mark.parametrize("kind", ["gbdt_touch", "logistic"])
def test_so_do_the_baselines_that_count(kind, samples, tmp_path):
    check(samples, tmp_path, 3, "random_labels", f"model.kind={kind}")


def test_there_is_one_control_at_a_time():
    from intent.errors import UsageError
    from jobs.train import check_settings

    both = [f"train.{control}=true" for control in CONTROLS]
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
