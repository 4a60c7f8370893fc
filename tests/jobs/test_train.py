"""Settings that training refuses before it reads anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from intent.config import load_config
from intent.errors import IntentError, UsageError
from jobs.train import check_data, check_settings, train
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs

BOTH = ["train.bucket_lengths=true", "model.early_fusion=true"]


def test_lengths_and_early_fusion_exclude_each_other(tmp_path: Path):
    with pytest.raises(UsageError, match="counts positions of full windows"):
        train(tmp_path / "no samples", tmp_path / "run", load_config(overrides=BOTH))
    assert not (tmp_path / "run").exists()
    for one in BOTH:
        check_settings(load_config(overrides=[one]))


def test_a_task_that_is_not_learnt_cannot_put_others_right(samples_of_two_days):
    root = samples_of_two_days
    settings = load_config(overrides=["train.negative_rate=0.5"])
    assert check_data(root, settings).groups
    ignored = "train.task_weights={longterm: 0}"
    settings = load_config(overrides=["train.negative_rate=0.5", ignored])
    with pytest.raises(IntentError, match="and only realtime; its scores can be put right with"):
        check_data(root, settings)
    weighed = ["train.negative_rate=0.5", ignored, "train.weigh_negatives=true"]
    assert check_data(root, load_config(overrides=weighed)).groups


@pytest.fixture
def samples_of_two_days(tmp_path):
    build_samples(tmp_path, random_logs(users=2))
    return tmp_path
