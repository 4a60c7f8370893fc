"""What the validations of a run say so far: the figure by which a sweep compares runs.

It is the one by which a run itself chooses its best checkpoint: the mean AUC over the tasks that it
learns, on the validation days (`intent.training.stopping`). The held-out days are never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intent.training.logbook import read_metrics
from intent.training.stopping import mean_auc

METRICS = "metrics.jsonl"
AUC = "auc_"


@dataclass(frozen=True)
class Score:
    """One validation: after `epoch` epochs (from 1), over `groups` groups; None where no task has
    an AUC, because no group or every group is positive."""

    epoch: int
    value: float | None
    groups: int


def scores_of(run: str | Path) -> list[Score]:
    """The validations of a run directory, in order; none where there is no such run yet."""
    found = {}
    for record in read_metrics(Path(run) / METRICS):
        if record["kind"] != "validation":
            continue
        aucs = {k: math.nan if v is None else v for k, v in record.items() if k.startswith(AUC)}
        mean = mean_auc(aucs, [name.removeprefix(AUC) for name in aucs])
        epoch = record["epoch"] + 1
        found[epoch] = Score(epoch, mean if math.isfinite(mean) else None, record["groups"])
    return [found[epoch] for epoch in sorted(found)]


def kept(scores: Sequence[Score], keep_best: bool) -> Score | None:
    """The validation of the weights that the run's model has: the best, or the last.

    The earliest of several that are equally good, as the run itself chooses.
    """
    if not keep_best:
        return scores[-1] if scores else None
    known = [score for score in scores if score.value is not None]
    return max(known, key=lambda s: (s.value, -s.epoch), default=None)
