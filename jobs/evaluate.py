"""How good a run's scores are on held-out days: `intent evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent import storage
from intent.errors import IntentError, UsageError

if TYPE_CHECKING:
    from intent.evaluation.predict import Predictions
    from intent.evaluation.recalibration import Recalibration
    from intent.samples.manifest import Manifest
    from intent.training.run_dir import RunDir

RESULTS = ("predictions.parquet", "evaluation.json", "report.html")


def command(
    run: Annotated[str, typer.Option(help="Run folder or URL, made by `intent train`.")],
    samples: Annotated[str, typer.Option(help="Samples to evaluate on: folder or URL.")],
    batch_size: Annotated[int, typer.Option(help="Groups scored at a time.")] = 256,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout.")
    ] = False,
) -> None:
    """Score the held-out last day; write RUN/report.html, evaluation.json, predictions.parquet.

    Prints AUC, average precision, log loss and calibration of both tasks, with intervals from
    resampled users. Next: intent export --run RUN.
    """
    result, _ = evaluate_run(run, samples, batch_size)
    if as_json:
        print(json.dumps(result))
    else:
        show(result, storage.join(run, "report.html"))


def evaluate_run(
    run: str | Path, samples: str | Path, batch_size: int = 256
) -> tuple[dict, Predictions]:
    """Evaluate a run on the held-out days of `samples`; returns the figures and the scores."""
    from intent.evaluation import recalibration
    from intent.quiet import quiet_tensorflow
    from intent.samples.days import split_days
    from intent.samples.reader import open_samples
    from intent.training.run_dir import read_run
    from jobs.scoring import score_days, score_training_day, scoring_step

    quiet_tensorflow()
    directory = read_run(run)
    manifest = open_samples(samples)
    check_fit(directory, manifest, samples)
    check_trained(directory)
    _, days = split_days(manifest, directory.config.train.evaluation_days, purge=False)
    better = recalibration.of_run(directory.path, directory.model)
    model = load_model(directory)
    score = scoring_step(model, manifest)
    raw = score_days(directory, model, samples, manifest, days, batch_size, score=score)
    known = score_training_day(directory, model, samples, manifest, batch_size, score)
    return judge(directory, manifest, days, raw, known, better)


def judge(
    directory: RunDir,
    manifest: Manifest,
    days: list[str],
    raw: Predictions,
    known: Predictions | None,
    better: Recalibration | None,
) -> tuple[dict, Predictions]:
    """Write what there is to say of a run's scores to its folder; returns figures and scores.

    Args:
        manifest: of the samples that were scored.
        days: of them, those that are evaluated.
        raw: the scores of these days, as `score_days` gives them.
        known: those of some groups of a training day, to see drift by.
        better: the run's recalibration.
    """
    from intent.config import dump_config
    from intent.evaluation.before_after import before_after
    from intent.evaluation.evaluate import curves, evaluate, plain
    from intent.evaluation.further import further
    from intent.evaluation.report import write_report
    from intent.samples.undersampling import learnt_rate
    from intent.storage import write_atomically
    from intent.training.tracking import report_results

    found = better.of(raw) if better else raw
    found.save(directory.path / "predictions.parquet")
    tasks = [task for task in manifest.schema.tasks if task.name in found.scores]
    result = evaluate(found.scores, found.labels, found.users, tasks, weights=found.weights)
    learnt = learnt_rate(directory.manifest, directory.config.train)
    kept = manifest.negative_rate
    result |= {"days": days, "source": manifest.source, "run": directory.place}
    result |= {"negative_rate": kept, "negative_rate_of_training": learnt}
    result |= further(found, tasks, better.of(known) if better and known else known)
    result["recalibration"] = None
    if better:
        changed = before_after(raw.scores, found.scores, raw.labels, raw.users, raw.weights)
        result["recalibration"] = better.about() | {"held_out": plain(changed)}
    result["notes"] += _undersampling(learnt, kept) + _chosen_by(directory, days, better)
    write_atomically(directory.path / "evaluation.json", json.dumps(result, indent=1))
    write_report(
        directory.path / "report.html",
        result,
        curves(found.scores, found.labels, tasks, found.weights),
        manifest=manifest.to_dict(),
        days=days,
        metrics=directory.metrics,
        config=dump_config(directory.config),
    )
    directory.push(*RESULTS)
    figures = {f"evaluation/auc_{task}": result[f"auc_{task}"]["value"] for task in result["tasks"]}
    figures = {name: value for name, value in figures.items() if value is not None}
    report_results(directory, figures, [directory.path / name for name in RESULTS[1:]])
    return result, found


def _chosen_by(
    directory: RunDir, days: list[str], better: Recalibration | None = None
) -> list[str]:
    """A remark where figures are of days by which weights or probabilities were chosen."""
    from intent.samples.days import days_of

    known = days_of(directory.manifest, directory.config.train)
    if better and (both := sorted(set(better.days) & set(days))):
        return [f"The scores were calibrated on {', '.join(both)}: the figures look too good."]
    for what, theirs in (("learnt from", known.train), ("chosen by", known.validation)):
        if both := sorted(set(theirs) & set(days)):
            return [f"The weights were {what} {', '.join(both)}: the figures look too good."]
    return []


def _undersampling(learnt: float, kept: float) -> list[str]:
    """What was done about negatives that the samples left out, in sentences."""
    notes = []
    if learnt < 1:
        notes.append(
            f"The model learnt from {learnt:.3g} of the negatives. Its scores were put right: "
            "they are probabilities among all groups."
        )
    if kept < 1:
        notes.append(
            f"The samples evaluated hold {kept:.3g} of the negatives. Each counts for "
            f"{1 / kept:.4g}, so that every figure is one of all groups; the numbers of "
            "groups and positives are those scored."
        )
    return notes


def check_trained(directory: RunDir) -> None:
    """IntentError where training has not ended."""
    if not directory.model.exists():
        raise IntentError(
            f"{directory.place} has no {directory.model.name}: training has not ended; the same "
            "`intent train` command goes on with it"
        )


def load_model(directory: RunDir):
    """The trained model of a run: a network, or a `SessionModel` where its kind has none.

    IntentError where training has not ended.
    """
    check_trained(directory)
    from intent.models.sources import is_counted

    if is_counted(directory.config.model):
        from intent.baselines.session_model import load

        return load(directory.path)
    from intent.models import load

    return load(directory.model)


def check_network(directory: RunDir, purpose: str) -> None:
    """UsageError for a run of counts, of which there is no network to do `purpose` with."""
    from intent.models.sources import is_counted

    if is_counted(kind := directory.config.model):
        raise UsageError(
            f"{directory.place} holds a model of kind {kind.kind}, which is no network, and there "
            f"is nothing to {purpose}: name a run of another model.kind"
        )


def check_fit(directory: RunDir, manifest, samples: str | Path) -> None:
    """Ids must mean the same in the run and in the samples."""
    from intent.samples.manifest import dictionaries_name

    trained = directory.manifest
    dictionaries = directory.shown(directory.path / dictionaries_name(trained.dictionary_hash))
    for what, ours, theirs, remedy in (
        ("another schema", trained.schema.hash(), manifest.schema.hash(),
         f"samples of the same tables and with samples.length={trained.schema.length}"),
        ("other dictionaries", trained.dictionary_hash, manifest.dictionary_hash,
         f"samples with --dictionaries {dictionaries}"),
    ):  # fmt: skip
        if ours != theirs:
            raise IntentError(
                f"run {directory.place} was trained with {what} (hash {ours}) than {samples} has "
                f"(hash {theirs}); build {remedy}, or train anew"
            )
    hidden, shown = (m.settings.get("exclude", []) for m in (trained, manifest))
    if hidden != shown:
        raise IntentError(
            f"run {directory.place} was trained with samples.exclude={hidden}, {samples} was built "
            f"with {shown}; build samples that hide the same actions, or train anew"
        )


def show(result: dict, report: str | Path) -> None:
    """Print the figures as a table."""
    from rich.console import Console
    from rich.table import Table

    from intent.evaluation.further_words import findings as words

    simulated = " (simulated data)" if "simulated" in result["source"] else ""
    title = (
        f"Held-out {', '.join(result['days'])}: {result['groups']:,} groups of "
        f"{result['users']:,} users{simulated}"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("task")
    table.add_column("AUC [95 %]", justify="right", no_wrap=True)
    for heading in ("PR-AUC", "base rate", "log loss", "ECE"):
        table.add_column(heading, justify="right")
    for task in result["tasks"]:
        table.add_row(
            task,
            estimate(result[f"auc_{task}"]),
            estimate(result["pr_auc"][task], interval=False),
            estimate(result["base_rate"][task], interval=False),
            estimate(result["log_loss"][task], interval=False),
            f"{result['calibration_error'][task]['value']:.4f}",
        )
    console = Console()
    console.print(table)
    for note in [*words(result), *result["notes"]]:
        console.print(note)
    console.print(f"report: {report}", soft_wrap=True)


def estimate(figure: dict, interval: bool = True) -> str:
    """A figure with its interval, as text."""
    value, ci95 = figure["value"], figure.get("ci95")
    text = "none" if value is None else f"{value:.4f}"
    return f"{text} [{ci95[0]:.3f}, {ci95[1]:.3f}]" if interval and ci95 else text


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
