"""Scores put right by what happened on days before the evaluation: `RUN/recalibration.json`.

A coupon goes to whoever buys with a probability in some range, so the score must mean what it says.
The map is fitted on days that are never evaluated, kept with the model, and applied wherever the
model scores: `intent evaluate`, `intent explain`, and inside the exported bundle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from intent.config import TrainConfig
from intent.errors import IntentError, UsageError
from intent.evaluation.predict import Predictions
from intent.evaluation.probability_maps import FITS, Map, fit_temperature, map_of
from intent.samples.days import days_of, split_days
from intent.samples.manifest import Manifest
from intent.storage import sha256, write_atomically

NAME = "recalibration.json"
FORMAT = 1  # of recalibration.json


@dataclass(frozen=True)
class Slice:
    """The days to fit on.

    Attributes:
        days: none of them is evaluated, and no label of theirs looks into a day that is.
        learnt: whether the model has learnt from them.
        notes: what is to be said of the choice, in sentences.
    """

    days: list[str]
    learnt: bool
    notes: list[str]


@dataclass(frozen=True)
class Recalibration:
    """A map for each task, and where it comes from.

    Attributes:
        method: "temperature" or "isotonic".
        maps: task -> map.
        model: SHA-256 of the model whose scores are mapped.
        days, learnt: see `Slice`.
        groups, users, positives: what it was fitted on; positives by task.
    """

    method: str
    maps: Mapping[str, Map]
    model: str
    days: list[str]
    learnt: bool
    groups: int
    users: int
    positives: Mapping[str, int]

    def apply(self, scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Task -> probabilities, from those that the model gives, put right for undersampling."""
        missing = sorted(set(scores) - set(self.maps))
        if missing:
            raise IntentError(
                f"{NAME} has maps for {', '.join(self.maps)}, the scores are of "
                f"{', '.join(missing)} too: run `intent calibrate` again"
            )
        return {task: self.maps[task](p) for task, p in scores.items()}

    def of(self, found: Predictions) -> Predictions:
        """The same groups with other scores."""
        return replace(found, scores=self.apply(found.scores))

    def about(self) -> dict:
        """Where it comes from, without the maps; valid JSON."""
        return {
            "method": self.method, "days": self.days, "learnt": self.learnt,
            "groups": self.groups, "users": self.users, "positives": dict(self.positives),
        }  # fmt: skip

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        maps = {task: how.to_dict() for task, how in self.maps.items()}
        data = {"format": FORMAT, **self.about(), "model": self.model, "tasks": maps}
        write_atomically(path, json.dumps(data, indent=1))

    @staticmethod
    def load(path: Path) -> Recalibration:
        """The inverse of `save`; IntentError where the file is damaged or of another version."""
        try:
            data = json.loads(path.read_text())
            if data["format"] != FORMAT:
                raise IntentError(
                    f"{path} has format {data['format']}, this program reads {FORMAT}: run "
                    "`intent calibrate` again"
                )
            return Recalibration(
                method=data["method"],
                maps={task: map_of(how) for task, how in data["tasks"].items()},
                model=data["model"],
                days=data["days"],
                learnt=data["learnt"],
                groups=data["groups"],
                users=data["users"],
                positives=data["positives"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntentError(f"{path} is damaged: run `intent calibrate` again") from error


def slice_of(manifest: Manifest, train: TrainConfig, days: int = 1) -> Slice:
    """The days to fit on, by the samples and settings that a run was trained with.

    Of the days before the evaluation days only those count whose labels end before evaluation
    begins. Of these: the validation days, which the model has not learnt from, if the run has any;
    else the last `days` that it was trained on.

    Raises IntentError where no day is left.
    """
    chosen = days_of(manifest, train)
    safe, _ = split_days(manifest, train.evaluation_days, purge=True)
    validation = [day for day in chosen.validation if day in safe]
    if validation:
        return Slice(validation, False, [])
    notes = []
    if chosen.validation:
        notes.append(
            f"The labels of {', '.join(chosen.validation)} look into the evaluation days, so "
            "it is left alone; with train.purge=true validation days end before that."
        )
    learnt = [day for day in chosen.train if day in safe][-days:]
    if not learnt:
        raise IntentError(
            f"no training day ends, labels included, before the evaluation of "
            f"{', '.join(chosen.held_out)}: train on samples of more days"
        )
    notes.append(
        f"The model has learnt from {', '.join(learnt)} and ranks better there than on a new day, "
        "so the fit is rough: a temperature may not make scores surer there, an isotonic map may. "
        "A run with train.validation_days=1 and train.purge=true keeps a day for this."
    )
    return Slice(learnt, True, notes)


def fit(
    found: Predictions, method: str, model: str, days: Sequence[str], learnt: bool
) -> Recalibration:
    """Fit a map for each task.

    Scores rank better on days that were learnt from than on new ones, so such days would always ask
    for surer scores. A temperature fitted on them has a scale of at most 1.

    Args:
        found: scores of the days to fit on, put right for undersampling and not otherwise.
        method: "temperature" or "isotonic"; UsageError for anything else.
        model: SHA-256 of the model that gave them, see `of_run`.
        days, learnt: see `Slice`.
    """
    if method not in FITS:
        raise UsageError(f"--method is one of {', '.join(FITS)}; got {method!r}")
    fitter = FITS[method]
    if learnt and fitter is fit_temperature:
        fitter = partial(fit_temperature, surest=1.0)
    labels = {task: found.labels[:, i] for i, task in enumerate(found.scores)}
    fitted = {}
    for task, p in found.scores.items():
        try:
            fitted[task] = fitter(p, labels[task], found.weights)
        except IntentError as error:
            raise IntentError(f"{task}: {error}") from None
    return Recalibration(
        method=method,
        maps=fitted,
        model=model,
        days=list(days),
        learnt=learnt,
        groups=len(found.users),
        users=len(np.unique(found.users)),
        positives={task: int(y.sum()) for task, y in labels.items()},
    )


def of_run(folder: Path, model: Path) -> Recalibration | None:
    """The recalibration in a run's folder, or None; IntentError where it is of another model."""
    path = folder / NAME
    if not path.exists():
        return None
    found = Recalibration.load(path)
    if found.model != sha256(model):
        raise IntentError(
            f"{path} was fitted for another {model.name}, for the run was trained on since: run "
            "`intent calibrate` again, or with --method none to do without"
        )
    return found
