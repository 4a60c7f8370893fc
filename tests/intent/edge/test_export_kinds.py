"""The baselines that are networks go onto a device as DIPN does."""

from __future__ import annotations

import numpy as np
import pytest

from intent import models
from intent.config import ModelConfig
from intent.edge.check import random_groups
from intent.edge.export import export_model
from intent.edge.runtime import Bundle
from tests.intent.groups import small_schema

SCHEMA = small_schema(length=16)
SIZES = {"hidden": 4, "action_width": 4, "context_width": 4, "branch_units": [6]}


@pytest.mark.parametrize("kind", ["rnn_dnn", "lstm", "cnn"])
def test_the_exported_model_gives_the_trained_one_s_scores(kind, tmp_path):
    config = ModelConfig(kind=kind, **SIZES)
    model = models.build(SCHEMA, config)
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(0, 0.4, w.shape))
    told = export_model(model, SCHEMA, config, {}, tmp_path / "device", quantize="none")
    assert told["max_difference"] < 1e-5
    groups = random_groups(SCHEMA, 8, seed=3)
    inputs = {name: groups[name] for name in model.input}
    found = Bundle.load(tmp_path / "device").predict(inputs)
    for task, logits in model(inputs, training=False).items():
        expected = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
        np.testing.assert_allclose(found[task], expected, atol=1e-5)
        assert np.ptp(expected) > 0.05
