"""What rank 0 does with the run folder at the turning points of training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intent.errors import IntentError
from intent.training import checkpoint
from intent.training.checkpoint import Checkpoint, Position
from intent.training.run_dir import RunDir
from intent.training.stopping import Choice, keeps_best

if TYPE_CHECKING:
    import keras


def resume(run: RunDir) -> Checkpoint | None:
    """The newest checkpoint that is whole; None where the run begins.

    IntentError where it is of other data or another configuration than `run`.
    """
    found = checkpoint.latest(run.checkpoints)
    if found is None:
        return None
    for what, theirs, ours in (
        ("data (manifest", found.manifest_hash, run.manifest_hash),
        ("configuration (config", found.config_hash, run.config_hash),
    ):
        if theirs != ours:
            raise IntentError(
                f"checkpoint {run.shown(found.path)} is of other {what} hash {theirs}, now "
                f"{ours}): go on with what it was made with, or give another --run"
            )
    checkpoint.write_best(run.checkpoints, Choice.from_dict(found.choice))
    return found


def save(
    run: RunDir,
    position: Position,
    variables: Sequence[keras.Variable],
    metrics: dict[str, np.ndarray],
    feed: dict[str, Any],
    choice: Choice,
) -> Path:
    """A checkpoint of `position`; older ones than are to be kept are deleted."""
    path = checkpoint.save(
        run.checkpoints,
        position,
        variables,
        metrics,
        manifest_hash=run.manifest_hash,
        config_hash=run.config_hash,
        seed=run.config.train.seed,
        feed=feed,
        choice=choice.to_dict(),
    )
    _settle(run, path)
    return path


def validated(run: RunDir, position: Position, choice: Choice) -> None:
    """Note the best checkpoint after a validation at `position`, which has its checkpoint."""
    checkpoint.write_best(run.checkpoints, choice)
    _settle(run, checkpoint.path_of(run.checkpoints, position))


def finish(run: RunDir, model: keras.Model, variables: Sequence[keras.Variable]) -> dict[str, Any]:
    """Write the model's file, with the best weights if the run has days to choose by.

    `variables` are as before afterwards. Returns which weights the file has, for the summary:
    {"weights": "best" or "last", "weights_updates": after how many updates, None for the last}.
    """
    found = checkpoint.load_best(run.checkpoints) if keeps_best(run.config.train) else None
    last = [np.array(v.value) for v in variables]
    if found is not None:
        checkpoint.restore(found, variables)
    draft = run.model.with_name("draft.keras")  # Keras insists on the suffix
    try:
        model.save(draft)
    finally:
        for variable, value in zip(variables, last, strict=True):
            variable.assign(value)
    os.replace(draft, run.model)
    run.sync()
    if found is None:
        return {"weights": "last", "weights_updates": None}
    return {"weights": "best", "weights_updates": found.position.updates}


def _settle(run: RunDir, newest: Path) -> None:
    checkpoint.prune(run.checkpoints, run.config.train.keep_checkpoints, newest)
    run.sync()
