"""A sweep from its parts: what is drawn, what is run, what is left of it at the end."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from intent.errors import IntentError, UsageError

if TYPE_CHECKING:
    from cluster.tune.work import Heard, Work
    from intent.config import IntentConfig
    from intent.samples.manifest import Manifest
    from intent.sweep.curve import Score
    from intent.sweep.ledger import Ledger
    from intent.sweep.space import Space

BEST, PAGE, SCRATCH = "best", "sweep.html", ".ray"


def for_selection(settings: IntentConfig, max_epochs: int) -> IntentConfig:
    """The settings of trials that are compared by days of their own.

    UsageError where there are to be none: the held-out days are not there to choose by.
    """
    train = settings.train
    if "validation_days" in train.model_fields_set and not train.validation_days:
        raise UsageError(
            "train.validation_days=0 leaves a sweep nothing to choose by: the held-out last days "
            "are for `intent evaluate` alone. Set it to 1 or more, or leave it away (1)"
        )
    days = train.validation_days or 1
    changed = train.model_copy(update={"validation_days": days, "epochs": max_epochs})
    return settings.model_copy(update={"train": changed})


def draw_trials(
    space: Space, settings: IntentConfig, seed: int, count: int, place: str
) -> tuple[dict[str, dict[str, Any]], dict[str, IntentConfig]]:
    """({id: what was drawn}, {id: the whole configuration}) of the first `count` trials.

    UsageError where one of them could not be trained.
    """
    from intent.config import with_values
    from intent.sweep.space import draw
    from jobs.train import check_settings

    drawn, each = {}, {}
    for number in range(count):
        id = f"{number:04d}"
        drawn[id] = draw(space, seed, number)
        each[id] = with_values(settings, drawn[id], f"{place}, trial {id}")
        try:
            check_settings(each[id])
        except UsageError as error:
            raise UsageError(f"{place}, trial {id}: {error}") from None
    return drawn, each


def asked_of(
    samples: str, manifest: Manifest, settings: IntentConfig, space: Space
) -> dict[str, Any]:
    """What must be the same when a sweep is gone on with, as JSON has it."""
    from intent import storage

    facts = {
        "samples": storage.absolute(samples),
        "manifest": manifest.hash(),
        "settings": settings.model_dump(mode="json", include={"model", "train"}),
        "space": {key: d.model_dump(mode="json") for key, d in space.items()},
    }
    return json.loads(json.dumps(facts))


def work_of(
    ledger: Ledger, samples: str, settings: IntentConfig, np: int, cores: int, id: str
) -> Work:
    """The training of a trial: `intent train`, through the launcher where it has several ranks.

    What is fitted without epochs is one process with the cores of all ranks.
    """
    from cluster.tune.work import Work
    from intent.models.sources import is_counted
    from jobs.launching import worker_arguments

    run = str(ledger.run(id).absolute())
    argv = ["-m", "jobs.train", *worker_arguments(samples, run, settings, as_json=False)]
    if is_counted(settings.model):
        return Work(id, run, (tuple(argv),), 1, np * cores, os.getcwd(), halved=False)
    argv += ["--np", str(np)] if np > 1 else []
    return Work(id, run, (tuple(argv),), np, cores, os.getcwd())


def finish(ledger: Ledger, space: Space, manifest: Manifest) -> dict[str, Any]:
    """Promote the best run, write the account and the page; the summary.

    IntentError where no trial came to its end with a score.
    """
    from intent.sweep.page import write_sweep_page
    from intent.sweep.promote import promote

    for trial in ledger.trials.values():
        measure(ledger, trial.id)
    winner = ledger.winner()
    ledger.best = winner.id if winner else None
    if winner is not None:
        promote(ledger.run(winner.id), ledger.folder / BEST)
    ledger.save()
    page = write_sweep_page(ledger.folder / PAGE, ledger, space, manifest.source)
    failed = ledger.of("failed")
    if winner is None:
        why = f"; trial {failed[0].id}: {failed[0].reason}" if failed else ""
        raise IntentError(
            f"no trial of the sweep in {ledger.folder} ended with an AUC on the validation days"
            f"{why}. Each has its log in trials/ID/train.log"
        )
    counts = {state: len(ledger.of(state)) for state in ("ended", "stopped", "failed")}
    best = {"trial": winner.id, "values": winner.values, "auc": winner.score, "epoch": winner.epoch}
    places = {"run": str(ledger.folder / BEST), "page": str(page)}
    return {"trials": len(ledger.trials), **counts, "best": best, **places}


def checked(samples: str, each: list[IntentConfig]) -> Manifest:
    """The manifest of samples that all trials can be trained on; their content is read once."""
    from jobs.train import check_data

    manifest = check_data(samples, each[0])
    for settings in each[1:]:
        check_data(samples, settings, content=False)
    return manifest


def run_waiting(
    ledger: Ledger, works: list[Work], parallel: int | None, address: str | None
) -> None:
    """Run what is left; IntentError where that was cut short, and the same command goes on."""
    from cluster.tune.driver import run_works
    from cluster.tune.halving import Halving
    from intent.progress import progress

    asked = ledger.asked
    waiting = {work.id for work in works}
    past = {}
    for id in ledger.trials:
        if ledger.fitted(id):
            continue
        scores = [(score.epoch, score.value) for score in _scores(ledger, id)]
        # Whether the last of a trial that had not ended was decided on, nobody knows any more.
        past[id] = scores[:-1] if id in waiting else scores
    halving = Halving(asked["max_epochs"], asked["grace"], asked["reduction"], past)
    lost: list[OSError] = []
    with progress("sweep", len(ledger.trials), "trials") as bar:
        bar.at(len(ledger.trials) - len(works))

        def hear(news: Heard) -> None:
            if ledger.trials[news.id].state != "waiting":
                return  # what has ended stays so, whatever becomes of its actor
            if news.what in ("ended", "stopped", "failed"):
                ledger.note(news.id, state=news.what, reason=news.why, epochs=news.epoch)
                measure(ledger, news.id)
                try:
                    ledger.save()
                except OSError as error:  # nothing that ends now would be known: end
                    lost.append(error)
                bar.advance(1)
            elif news.what == "epoch":
                scores = [trial.score for trial in ledger.trials.values() if trial.score]
                bar.values["best AUC"] = max([*scores, news.score or 0.0])
                bar.advance(0)
            elif news.what == "again":
                print(f"trial {news.id} is begun again: {news.why}", file=sys.stderr)

        scratch = ledger.folder / SCRATCH
        cut = run_works(
            works, hear, lambda: bool(lost),
            scratch=scratch, parallel=parallel, address=address, halving=halving,
        )  # fmt: skip
    left = len(ledger.of("waiting"))
    if lost and lost[0].errno not in (errno.ENOSPC, errno.EDQUOT):
        raise lost[0]
    if cut == "full" or lost:
        raise IntentError(
            f"the disk is full ({ledger.folder}): free some space and run it again; "
            f"{len(ledger.trials) - left} trials have ended, {left} go on where they were"
        )
    if cut and left:
        raise IntentError(f"stopped by {cut} with {left} trials left: the same command goes on")


def _scores(ledger: Ledger, id: str) -> list[Score]:
    """The validations of a trial that count.

    One that was stopped may have come to another before it had ended: how far, is a matter of
    chance, and what a sweep tells must not be.
    """
    from intent.sweep.curve import scores_of

    trial, scores = ledger.trials[id], scores_of(ledger.run(id))
    return scores[: trial.epochs] if trial.state == "stopped" else scores


def measure(ledger: Ledger, id: str) -> None:
    """Note what the run of a trial says of itself."""
    from intent.sweep.curve import kept

    scores, fitted = _scores(ledger, id), ledger.fitted(id)
    chosen = kept(scores, ledger.asked["settings"]["train"]["keep_best"])
    ledger.note(
        id,
        score=chosen.value if chosen else None,
        epoch=chosen.epoch if chosen and not fitted else None,
        epochs=0 if fitted else len(scores),
        groups=scores[-1].groups if scores else 0,
    )
