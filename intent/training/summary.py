"""What a run tells: its summary, its last words, and a feed that goes astray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intent.errors import IntentError
from intent.training import checkpoint
from intent.training.checkpoint import Position
from intent.training.run_dir import RunDir

if TYPE_CHECKING:
    from intent.samples.feed import Batch
    from intent.training.handover import Standing


def summary_of(run: RunDir, standing: Standing, ranks: int, seconds: float) -> dict[str, Any]:
    """The facts of a training that came to its end after `seconds`."""
    known, groups = checkpoint.best(run.checkpoints), standing.groups
    return {
        "ranks": ranks,
        "epochs": run.config.train.epochs,
        "steps": standing.position.updates - standing.first,
        "updates": standing.position.updates,
        "seconds": seconds,
        "groups": groups,
        "groups_per_second": groups / max(seconds, 1e-9),
        "met_again": standing.meetings - 1,
        "repeated_groups": standing.repeated,
        "best": {"checkpoint": run.shown(known[0]), "auc": known[1]} if known else None,
        "stopped_early": standing.choice.stops(run.config.train),
        "model": run.shown(run.model),
    }


def goodbye(run: RunDir, position: Position, who: str) -> str:
    """That training was stopped by `who` after the step before `position`, and what is left."""
    path = run.shown(checkpoint.path_of(run.checkpoints, position))
    return (
        f"stopped{f' by {who}' if who else ''} after step {position.step} of epoch "
        f"{position.epoch}; {path} is written: the same command goes on from there"
    )


def expect(batch: Batch, epoch: int, step: int) -> None:
    """IntentError unless `batch` is that of this step."""
    if (batch.epoch, batch.step) != (epoch, step):
        raise IntentError(
            f"the feed gave step {batch.step} of epoch {batch.epoch}, expected step {step} of "
            f"epoch {epoch}: the samples changed, or the feed loses or repeats steps"
        )
