"""Probabilities that mean what they say: `intent calibrate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent import storage
from intent.errors import IntentError, UsageError

if TYPE_CHECKING:
    from intent.training.run_dir import RunDir


def command(
    run: Annotated[str, typer.Option(help="Run folder or URL, made by `intent train`.")],
    samples: Annotated[
        str | None,
        typer.Option(help="Samples of the run: folder or URL; without it those it was trained on."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="temperature: scale and shift of the logit; isotonic: any rising curve; none: "
            "take an earlier one away."
        ),
    ] = "temperature",
    days: Annotated[
        int,
        typer.Option(min=1, help="Training days to fit on, where the run has no validation days."),
    ] = 1,
    batch_size: Annotated[int, typer.Option(help="Groups scored at a time.")] = 256,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout.")
    ] = False,
) -> None:
    """Fit the scores to what happened on days before the evaluation; write RUN/recalibration.json.

    Prints the calibration error of the held-out days before and after. From then on `intent
    evaluate`, `intent explain` and `intent export` give the better probabilities; the order of the
    scores stays. Next: intent evaluate and intent export again.
    """
    result = calibrate_run(run, samples, method, days, batch_size)
    if as_json:
        print(json.dumps(result))
    else:
        show(result)


def calibrate_run(
    run: str | Path,
    samples: str | None = None,
    method: str = "temperature",
    days: int = 1,
    batch_size: int = 256,
) -> dict:
    """Calibrate a run; returns where it was fitted and what it does on the held-out days."""
    from intent.evaluation import recalibration
    from intent.evaluation.before_after import before_after
    from intent.evaluation.evaluate import plain
    from intent.evaluation.probability_maps import FITS
    from intent.quiet import quiet_tensorflow
    from intent.samples.days import days_of
    from intent.training.run_dir import read_run
    from jobs.evaluate import check_fit, check_trained, load_model
    from jobs.explain import open_samples_of
    from jobs.scoring import score_days, scoring_step

    if method not in (*FITS, "none"):
        raise UsageError(f"--method is one of {', '.join(FITS)}, none; got {method!r}")
    directory = read_run(run)
    check_trained(directory)
    if method == "none":
        return _take_away(directory, run)
    _check_packages()
    manifest, place = open_samples_of(directory, samples)
    check_fit(directory, manifest, place)
    part = recalibration.slice_of(directory.manifest, directory.config.train, days)
    held_out = days_of(directory.manifest, directory.config.train).held_out
    if missing := sorted({*part.days, *held_out} - set(manifest.days)):
        raise IntentError(
            f"{place} has no groups of {', '.join(missing)}, which the run was trained on or is "
            "judged on: give the samples that it was trained on"
        )
    quiet_tensorflow()
    model = load_model(directory)
    score = scoring_step(model, manifest)
    known = score_days(directory, model, place, manifest, part.days, batch_size, score=score)
    digest = storage.sha256(directory.model)
    found = recalibration.fit(known, method, digest, part.days, part.learnt)
    raw = score_days(directory, model, place, manifest, held_out, batch_size, score=score)
    better = found.of(raw)
    changed = before_after(raw.scores, better.scores, raw.labels, raw.users, raw.weights)
    found.save(directory.path / recalibration.NAME)
    directory.push(recalibration.NAME)
    return {
        "run": str(run), "source": manifest.source, **found.about(),
        "maps": {task: how.to_dict() for task, how in found.maps.items()},
        "held_out": plain(changed), "held_out_days": held_out,
        "held_out_groups": len(raw.users), "held_out_users": len(set(raw.users)),
        "notes": part.notes,
    }  # fmt: skip


def _take_away(directory: RunDir, run: str | Path) -> dict:
    from intent.evaluation.recalibration import NAME

    there = (directory.path / NAME).exists()
    storage.remove(directory.path, [NAME])
    if there and directory.mirror is not None:
        storage.remove(directory.place, [NAME])
    return {"run": str(run), "method": "none", "removed": there}


def _check_packages() -> None:
    try:
        import scipy  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise IntentError(
            f"calibrating needs {error.name}, which is not installed: pip install 'intent[report]'"
        ) from None


def show(result: dict) -> None:
    """Print the figures before and after as a table."""
    from rich.console import Console
    from rich.table import Table

    from intent.evaluation.further_words import recalibrated
    from jobs.evaluate import estimate

    console = Console()
    if result["method"] == "none":
        there = "is as it was trained" if result["removed"] else "was never calibrated"
        console.print(f"{result['run']} {there}; intent export makes its bundle anew")
        return
    simulated = " (simulated data)" if "simulated" in result["source"] else ""
    title = (
        f"Held-out {', '.join(result['held_out_days'])}: {result['held_out_groups']:,} groups of "
        f"{result['held_out_users']:,} users{simulated}"
    )
    console.print(title)
    for task, figures in result["held_out"].items():
        table = Table(title=task, title_justify="left")
        for heading in ("", "before [95 %]", "after [95 %]"):
            table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
        for name in ("calibration_error", "log_loss", "mean_score", "auc"):
            change = figures[name]
            cells = [estimate(change[side]) for side in ("before", "after")]
            table.add_row("AUC" if name == "auc" else name.replace("_", " "), *cells)
        table.add_row("base rate", *[estimate(figures["base_rate"])] * 2)
        console.print(table)
    for task in result["held_out"]:
        console.print(f"{task}: {recalibrated(result, task)}")
    for note in result["notes"]:
        console.print(note)
    console.print("intent evaluate and intent export, run anew, use it.")


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
