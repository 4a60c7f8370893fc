"""Settings that training refuses before it reads anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from intent.config import load_config
from intent.errors import UsageError
from jobs.train import check_settings, train

BOTH = ["train.bucket_lengths=true", "model.early_fusion=true"]


def test_lengths_and_early_fusion_exclude_each_other(tmp_path: Path):
    with pytest.raises(UsageError, match="counts positions of full windows"):
        train(tmp_path / "no samples", tmp_path / "run", load_config(overrides=BOTH))
    assert not (tmp_path / "run").exists()
    for one in BOTH:
        check_settings(load_config(overrides=[one]))
