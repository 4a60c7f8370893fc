"""Scores of the groups of some days by a run's model, for whoever judges or calibrates it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intent.evaluation.predict import Predictions
    from intent.samples.manifest import Manifest
    from intent.training.run_dir import RunDir

REFERENCE_GROUPS = 8192  # of a training day, for the drift of the scores


def score_days(
    directory: RunDir,
    model,
    samples: str | Path,
    manifest: Manifest,
    days: Sequence[str],
    batch_size: int = 256,
    limit: int | None = None,
    score: Callable | None = None,
) -> Predictions:
    """Scores of the groups of some days, put right for undersampling and not recalibrated.

    Args:
        manifest: of the samples.
        limit: only so many groups, drawn evenly from all of these days.
        score: of `scoring_step`, where days are scored more than once.
    """
    from dataclasses import replace

    from intent.evaluation.predict import predict
    from intent.models.sources import is_counted, reduce_schema
    from intent.samples.reader import TrackFeed
    from intent.samples.undersampling import learnt_rate

    settings = directory.config
    # Sources that the model takes, but all tasks: a negative is one in every task. History and
    # profile besides: figures by slice are of the same slices whatever the model reads.
    schema, stored = reduce_schema(manifest.schema, settings.model), manifest.schema
    schema = replace(schema, tasks=stored.tasks, history=stored.history, profile=stored.profile)
    feed = TrackFeed(
        samples, manifest.only(list(days)), schema, batch_size, limit=limit,
        shuffle=limit is not None, fusion=settings.model.early_fusion,
        action_times=is_counted(settings.model),
    )  # fmt: skip
    learnt = learnt_rate(directory.manifest, settings.train)
    return predict(model, feed, learnt, manifest.negative_rate, score)


def scoring_step(model, manifest: Manifest) -> Callable | None:
    """The compiled scoring of a network, to be used for several days; None for other models."""
    from intent.baselines.session_model import SessionModel
    from intent.training.step import make_scoring_step

    if isinstance(model, SessionModel):
        return None
    return make_scoring_step(model, [task.name for task in manifest.schema.tasks])


def score_training_day(
    directory: RunDir,
    model,
    samples: str | Path,
    manifest: Manifest,
    batch_size: int,
    score: Callable | None,
) -> Predictions | None:
    """Scores of some groups of the last day that was trained on, if it is there: for drift."""
    from intent.samples.days import days_of

    days = days_of(directory.manifest, directory.config.train).train
    days = [day for day in days if day in manifest.days][-1:]
    if not days or not manifest.only(days).groups:
        return None
    return score_days(
        directory, model, samples, manifest, days, batch_size, REFERENCE_GROUPS, score
    )
