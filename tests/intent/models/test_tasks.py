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
