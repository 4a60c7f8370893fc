"""Why a user got a score: `intent explain`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent.errors import IntentError, UsageError

if TYPE_CHECKING:
    from intent.evaluation.explain import Explanation
    from intent.samples.manifest import Manifest
    from intent.training.run_dir import RunDir


def command(
    run: Annotated[str, typer.Option(help="Run folder or URL, made by `intent train`.")],
    user: Annotated[str, typer.Option(help="Whose score, by the name in the logs.")],
    at: Annotated[
        str | None,
        typer.Option(
            help="The last cut at or before this moment: UTC such as 2026-01-06T12:34:56.789Z, or "
            "epoch ms; without it the user's last one."
        ),
    ] = None,
    samples: Annotated[
        str | None,
        typer.Option(help="Samples with that user: folder or URL; without it those of the run."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write a page with figures: .html.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Whose effects decide the order; without it the first task.")
    ] = None,
    actions: Annotated[int, typer.Option(min=0, help="How many of each view; 0 for all.")] = 8,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON on stdout instead of tables.")
    ] = False,
) -> None:
    """Show what moved the score of a user at a moment: which actions, which pairs of views.

    Each part of the input is taken out, and the score taken again; attention stands beside that.
    Which moments a user has: intent samples peek SAMPLES --user USER.
    """
    if out is not None:
        from intent.report.page import check_packages

        check_packages("page")
    found, task = explain_run(run, user, at, samples, task)
    if out is not None:
        from intent.evaluation.explain_page import write_explanation

        write_explanation(out, found, task, actions)
    if as_json:
        print(json.dumps(shortened(found.told, task, actions)))
        return
    from intent.evaluation.explain_table import show

    show(found, task, actions, out)


def explain_run(
    run: str | Path,
    user: str,
    at: str | None = None,
    samples: str | None = None,
    task: str | None = None,
) -> tuple[Explanation, str]:
    """Explain one score of a run; returns also the task whose effects decide the order.

    What can be wrong with the question is found before TensorFlow is loaded.
    """
    from intent.quiet import quiet_tensorflow
    from intent.samples import manifest as manifests
    from intent.samples import peek
    from intent.samples.undersampling import learnt_rate
    from intent.training.run_dir import read_run
    from jobs.evaluate import check_fit, check_network, check_trained, load_model

    directory = read_run(run)
    check_network(directory, "explain")
    check_trained(directory)
    manifest, samples = open_samples_of(directory, samples)
    check_fit(directory, manifest, samples)
    tasks = [t.name for t in manifest.schema.tasks]
    tasks = [t for t in tasks if t in (directory.config.model.tasks or tasks)]
    if task is not None and task not in tasks:
        raise UsageError(f"--task is one of {', '.join(tasks)}; got {task!r}")
    notes = []
    if at is None:
        unit = peek.cuts_of(samples, manifest, user)[-1]
        index = unit.groups - 1
        notes.append("the last one of this user")
    else:
        first, last = peek.moments_of(at)
        unit, index = peek.group_at(samples, manifest, user, last)
        if unit.at[index] < first:
            notes.append(f"the last one before {at}")
    notes += _of_training(directory, peek.iso(unit.at[index])[:10])

    quiet_tensorflow()
    model = load_model(directory)
    from intent.evaluation.explain import explain  # brings Keras, so not before the checks
    from intent.evaluation.recalibration import of_run

    settings = directory.config
    dictionaries = manifests.load_dictionaries(samples, manifest)
    learnt = learnt_rate(directory.manifest, settings.train)
    better = of_run(directory.path, directory.model)
    found = explain(model, unit, index, dictionaries, settings.model, learnt, better)
    found.told.update({"run": str(run), "source": manifest.source, "notes": notes})
    return found, task or tasks[0]


def shortened(told: dict, task: str, actions: int) -> dict:
    """What `told` says, of each view only so many actions: those with the greatest effect first."""
    from intent.evaluation.explain_words import by_effect

    views = {view: by_effect(all_, task) for view, all_ in told["views"].items()}
    return told | {"views": {view: all_[: actions or None] for view, all_ in views.items()}}


def open_samples_of(directory: RunDir, samples: str | None) -> tuple[Manifest, str]:
    """The samples asked for, or else those that the run was trained on, and where they are."""
    from intent import storage
    from intent.samples import manifest as manifests

    place = samples or directory.samples
    if place is None:
        raise UsageError(
            f"{directory.place} does not say where its samples are (it is of an older version): "
            "give them with --samples"
        )
    if samples is None and not storage.exists(storage.join(place, manifests.NAME)):
        raise IntentError(
            f"the samples of {directory.place} were in {place} and are not there any more: say "
            "where they are with --samples"
        )
    return manifests.load(place), place


def _of_training(directory: RunDir, day: str) -> list[str]:
    """A remark about a day that the model has seen with its labels."""
    from intent.samples.days import days_of

    seen = days_of(directory.manifest, directory.config.train).train
    return ["a day that the model was trained on: its score may be learnt by heart"] * (day in seen)


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
