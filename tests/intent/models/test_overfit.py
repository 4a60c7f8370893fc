"""DIPN learns 64 groups by heart within 60 steps, where they can be learnt at all."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from intent.config import ModelConfig, TrainConfig
from intent.models import dipn
from intent.schema import PAPER
from intent.training.comm import Solo
from intent.training.step import adam, make_step
from tests.intent.groups import random_groups

SCHEMA = replace(PAPER, length=8)  # the paper's dictionaries, a shorter window
TASKS = [t.name for t in SCHEMA.tasks]
GROUPS, STEPS, LEARNT = 64, 60, 0.01  # the loss is 2 ln 2 = 1.39 before anything is learnt


class Learner:
    """A model of the paper's sizes, its compiled step, and the state it began with."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        self.model = dipn.build(SCHEMA, ModelConfig())
        optimizer = adam(TrainConfig(), self.model)
        self.variables = [*self.model.variables, *optimizer.variables]
        self.start = [v.numpy() for v in self.variables]
        self.step = make_step(self.model, optimizer, TASKS, TrainConfig(), Solo())

    def losses(self, inputs, labels, rate: float = 0.003) -> np.ndarray:
        """The loss of each step from the same start."""
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        rest = np.ones(GROUPS, np.float32), GROUPS, rate, np.zeros(0, np.float32)
        return np.array([self.step(inputs, labels, *rest).loss for _ in range(STEPS)])


@pytest.fixture(scope="module")
def learner() -> Learner:
    return Learner()


@pytest.fixture(scope="module")
def data() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """64 random groups, windows of 0 to 8 actions, labels by lot."""
    rng = np.random.default_rng(0)
    counts = [{v.name: int(rng.integers(0, 9)) for v in SCHEMA.views} for _ in range(GROUPS)]
    return random_groups(SCHEMA, counts), rng.integers(0, 2, (GROUPS, 2)).astype(np.uint8)


def test_64_groups_are_learnt_by_heart(learner, data):
    losses = learner.losses(*data)
    assert losses[0] > 1 and losses[-1] < LEARNT, losses


def test_without_a_step_nothing_is_learnt(learner, data):
    losses = learner.losses(*data, rate=0.0)
    assert np.ptp(losses) < 1e-5 and losses[-1] > 1


def test_groups_that_contradict_each_other_cannot_be_learnt(learner, data):
    """Each of 32 groups once with a label and once without: no score does better than 2 ln 2."""
    inputs = {name: np.concatenate([ids[:32], ids[:32]]) for name, ids in data[0].items()}
    labels = np.concatenate([data[1][:32], 1 - data[1][:32]])
    assert learner.losses(inputs, labels).min() > 2 * np.log(2) - 1e-4
