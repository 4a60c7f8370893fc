"""How much training the runs of a table get: the same for every contender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Budget:
    """A preset of `intent ablate`.

    Attributes:
        name: smoke, standard or full.
        seeds: trainings of every contender.
        settings: dotted settings of every training.
        resamples: draws of users for the intervals.
        warning: what stands on the page and the terminal before its figures.
    """

    name: str
    seeds: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    resamples: int = 1000
    warning: str = ""


BUDGETS = {
    budget.name: budget
    for budget in (
        Budget(
            "smoke", 1,
            {"train.epochs": 1, "train.batch_size": 64, "train.max_groups": 1024,
             "model.hidden": 8, "model.action_width": 8, "model.context_width": 8,
             "model.branch_units": [8]},
            200,
            "Small networks, a thousand groups: it shows that everything runs. Take nothing from "
            "its figures or verdicts.",
        ),
        Budget(
            "standard", 2,
            {"train.epochs": 1, "train.batch_size": 64, "train.negative_rate": 0.3,
             "train.weigh_negatives": True, "train.max_groups": 131_072},
            1000,  # an hour or so on two cores with windows of 64
        ),
        Budget(
            "full", 3,
            {"train.epochs": 2, "train.batch_size": 512, "train.learning_rate": 1e-3},
            1000,  # all groups, for machines with a GPU
        ),
    )
}  # fmt: skip
