"""What the validations of a run decide: when it ends, and whose weights are kept.

Whatever is chosen by the score of some days makes the score of those days look better than it is:
the best of many noisy figures is partly the luckiest. So nothing is chosen by the held-out days.
Days of their own are set apart for it (`train.validation_days`, `intent.samples.days.days_of`);
without them the run ends after the last epoch and keeps the last weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from intent.config import TrainConfig
from intent.errors import UsageError


@dataclass(frozen=True)
class Choice:
    """What the validations so far have shown. It travels in every checkpoint, as JSON.

    Attributes:
        best: the highest mean AUC; None before the first validation that had one.
        updates: of the checkpoint that had it, the earliest where several did.
        reference: the mean AUC that the next improvement counts from.
        waited: validations since the last improvement.
        last: updates before the last validation. Ranks that lose one of them during a validation do
            it again, and it must not count twice.
    """

    best: float | None = None
    updates: int = 0
    reference: float | None = None
    waited: int = 0
    last: int = -1

    def seen(self, quality: float, updates: int, config: TrainConfig) -> Choice:
        """This after one more validation, of the weights after `updates` updates.

        Args:
            quality: mean AUC over tasks. One that is not finite (no purchase among the groups)
                says nothing, so it neither counts nor makes anybody wait.
        """
        if updates == self.last:
            return self
        if not math.isfinite(quality):
            return replace(self, last=updates)
        best, where = self.best, self.updates
        if best is None or quality > best:
            best, where = quality, updates
        if self.reference is None or quality > self.reference + config.min_improvement:
            return Choice(best, where, quality, 0, updates)
        return Choice(best, where, self.reference, self.waited + 1, updates)

    def stops(self, config: TrainConfig) -> bool:
        """Whether training is to end now."""
        return config.patience is not None and self.waited >= config.patience

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which gives floats back to the bit."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Choice:
        """Of `to_dict`; empty, as in a checkpoint of an older version, is the beginning."""
        return cls(**stored)


def mean_auc(results: Mapping[str, float], tasks: Sequence[str]) -> float:
    """The mean AUC over the `tasks` of a validation that have one; nan where none has.

    A task has none while no group, or every group, is positive. The groups are the same in every
    validation of a run, so what is compared is the mean over the same tasks.
    """
    found = [results[f"auc_{task}"] for task in tasks]
    found = [auc for auc in found if math.isfinite(auc)]
    return sum(found) / len(found) if found else math.nan


def keeps_best(config: TrainConfig) -> bool:
    """Whether the model is to be the best checkpoint's; otherwise it is that of the last step."""
    return config.keep_best and config.validation_days > 0


def check_choice(config: TrainConfig) -> None:
    """UsageError where training should stop by days that are held out for the final figures."""
    if config.patience is not None and not config.validation_days:
        raise UsageError(
            f"train.patience={config.patience} needs days to stop by, and the held-out ones are "
            "for `intent evaluate`: set train.validation_days=1, or leave train.patience away"
        )
