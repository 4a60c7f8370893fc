from __future__ import annotations

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.config import ModelConfig, TrainConfig
from intent.models import dipn, kernels
from intent.training.comm import Solo
from intent.training.precision import precision
from intent.training.step import adam, make_step
from tests.intent.groups import random_groups, small_schema

SCHEMA = small_schema(length=40, largest=12)
BATCH = 16


def losses(name: str, steps: int = 10) -> np.ndarray:
    """Losses of a model's first steps on one batch."""
    with precision(name):
        keras.utils.set_random_seed(3)
        model = dipn.build(SCHEMA, ModelConfig(hidden=16, attention_scale="length"))
        tasks = [t.name for t in SCHEMA.tasks]
        step = make_step(model, adam(TrainConfig(), model), tasks, TrainConfig(), Solo())
        inputs = random_groups(SCHEMA, [40] * BATCH)
        labels = np.random.default_rng(0).integers(0, 2, (BATCH, 2)).astype(np.uint8)
        rest = labels, np.ones(BATCH, np.float32), BATCH, 0.01, np.zeros(0, np.float32)
        return np.array([step(inputs, *rest).loss for _ in range(steps)])


def test_bfloat16_follows_float32():
    exact, coarse = losses("float32"), losses("bfloat16")
    assert exact[-1] < exact[0] - 0.05
    np.testing.assert_allclose(coarse, exact, rtol=0.02)
    if kernels.has_bfloat16():
        assert not np.array_equal(coarse, exact)


@pytest.mark.slow
def test_on_a_gpu_it_is_keras_own_policy(monkeypatch):
    monkeypatch.setattr(kernels, "operators", lambda: None)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["/GPU:0"])
    with precision("bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        layer = keras.layers.Dense(2)
    assert keras.config.dtype_policy().name == "float32"
    assert layer.compute_dtype == "bfloat16" and layer.variable_dtype == "float32"
    np.testing.assert_allclose(losses("bfloat16", 5), losses("float32", 5), rtol=0.02)


def test_a_cpu_without_kernels_stays_in_float32_and_says_so(monkeypatch, caplog):
    """Keras's policy, which casts everything, is for GPUs."""
    monkeypatch.setattr(kernels, "operators", lambda: None)
    with caplog.at_level(logging.WARNING), precision("bfloat16"):
        assert keras.config.dtype_policy().name == "float32"
    assert "no CPU kernels" in caplog.text


@pytest.mark.slow
def test_a_cpu_without_the_unit_stays_in_float32_and_says_so(monkeypatch, caplog):
    if kernels.operators() is None:
        pytest.skip("the kernels are not compiled here")
    monkeypatch.setattr(kernels, "has_bfloat16", lambda: False)
    with caplog.at_level(logging.WARNING):
        found = losses("bfloat16", 2)
    assert "no AMX" in caplog.text
    np.testing.assert_array_equal(found, losses("float32", 2))
