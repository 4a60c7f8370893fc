from __future__ import annotations

import numpy as np
import pytest

from intent.models.tasks import TaskBranch


@pytest.mark.parametrize("units", [[], [5], [5, 3]])
def test_a_branch_is_relu_layers_and_one_logit(units):
    layer = TaskBranch(units)
    z = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    logits = layer(z).numpy()
    expected = z
    for dense in layer.hidden:
        expected = np.maximum(expected @ dense.kernel.numpy() + dense.bias.numpy(), 0)
    expected = expected @ layer.logit.kernel.numpy() + layer.logit.bias.numpy()
    assert logits.shape == (4,) and len(layer.weights) == 2 * len(units) + 2
    np.testing.assert_allclose(logits, expected[:, 0], rtol=1e-5, atol=1e-6)


def test_the_logit_stays_wide_under_mixed_precision():
    layer = TaskBranch([4], dtype="mixed_bfloat16")
    assert layer(np.ones((1, 3), np.float32)).dtype == "float32"
    assert layer.hidden[0].compute_dtype == "bfloat16"


def test_an_untrained_model_says_the_base_rates():
    from intent.config import ModelConfig
    from intent.models.dipn import build
    from intent.models.tasks import start_from_base_rates
    from tests.intent.groups import random_groups, small_schema

    schema = small_schema()
    model = build(schema, ModelConfig(hidden=3, action_width=4, branch_units=[4]))
    before = {
        task: logits.numpy().mean()
        for task, logits in model(random_groups(schema, [4] * 8)).items()
    }
    assert all(abs(logit) < 1 for logit in before.values())  # about one half
    start_from_base_rates(model, {"realtime": 0.05, "longterm": 0.0, "unknown": 0.5})
    after = {
        task: logits.numpy().mean()
        for task, logits in model(random_groups(schema, [4] * 8)).items()
    }
    assert abs(after["realtime"] - before["realtime"] - np.log(0.05 / 0.95)) < 1e-4
    assert -10 < after["longterm"] < -8  # finite, also where nobody bought
