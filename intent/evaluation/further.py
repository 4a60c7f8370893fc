"""What an evaluation says beyond its headline figures: gain, slices, drift."""

from __future__ import annotations

from collections.abc import Sequence

from intent.evaluation.drift import drift
from intent.evaluation.evaluate import plain
from intent.evaluation.gain import gain
from intent.evaluation.predict import Predictions
from intent.evaluation.slices import by_slice
from intent.schema import Task

# Resamples at most, where there are many figures of small parts.
OF_SLICES, OF_DRIFT = 400, 200


def further(
    found: Predictions,
    tasks: Sequence[Task],
    reference: Predictions | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Gain and lift, figures by slice, and drift between days.

    Args:
        found: scores of the evaluated days.
        tasks: of these scores.
        reference: scores of a day that was trained on, see `drift.drift`.

    Returns {"gain": task -> see `gain.gain`, "slices": see `slices.by_slice`, "drift": see
    `drift.drift`}, valid JSON.
    """
    columns = {task: found.labels[:, i] for i, task in enumerate(found.scores)}
    return plain({
        "gain": {
            t.name: gain(
                found.scores[t.name], columns[t.name], found.users, found.weights,
                resamples=resamples, seed=seed,
            )
            for t in tasks
        },
        "slices": by_slice(found, tasks, resamples=min(resamples, OF_SLICES), seed=seed),
        "drift": drift(found, reference, resamples=min(resamples, OF_DRIFT), seed=seed),
    })  # fmt: skip
