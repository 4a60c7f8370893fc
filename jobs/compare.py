"""Which of two runs is better, and is it more than luck? `intent compare`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent import storage
from intent.errors import IntentError

if TYPE_CHECKING:
    from intent.evaluation.predict import Predictions

FILE = "predictions.parquet"


def command(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="Run A: folder or URL.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Run B, of the same groups.")],
    resamples: Annotated[
        int, typer.Option(min=100, help="How often users are drawn anew for the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of those draws.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON on stdout instead of a table.")
    ] = False,
) -> None:
    """Compare two runs that `intent evaluate` has judged on the same groups.

    Differences of AUC, average precision and log loss, A minus B, with intervals from users drawn
    for both alike, and what they say in plain words.
    """
    result = compare_runs(run_a, run_b, resamples, seed)
    if as_json:
        print(json.dumps(result))
    else:
        show(result)


def compare_runs(
    run_a: str | Path, run_b: str | Path, resamples: int = 1000, seed: int = 0
) -> dict:
    """Compare the predictions of two runs, see `intent.evaluation.compare.compare`."""
    from intent.evaluation.compare import compare

    a, b = read_predictions(run_a), read_predictions(run_b)
    result = compare(a, b, resamples=resamples, seed=seed)
    return {"a": str(run_a), "b": str(run_b), **result}


def read_predictions(run: str | Path) -> Predictions:
    """What `intent evaluate` wrote to a run's folder or URL; IntentError where it did not."""
    from intent.evaluation.predict import Predictions

    place = storage.join(run, FILE)
    path = storage.local(place)
    if path is not None:
        return Predictions.load(path)
    with tempfile.TemporaryDirectory(prefix="intent-compare-") as folder:
        try:
            storage.copy(place, Path(folder) / FILE)
        except FileNotFoundError:
            raise IntentError(
                f"there is no {place}: intent evaluate --run {run} --samples SAMPLES writes it, "
                "for a run whose training has ended"
            ) from None
        return Predictions.load(Path(folder) / FILE)


def show(result: dict) -> None:
    """Print the differences as a table, and what they say."""
    from rich.console import Console
    from rich.table import Table

    from intent.evaluation.further_words import compared, signed
    from jobs.evaluate import estimate

    console = Console()
    console.print(
        f"A = {result['a']}, B = {result['b']}: {result['groups']:,} groups of "
        f"{result['users']:,} users",
        soft_wrap=True,
    )
    names = {"auc": "AUC", "pr_auc": "PR-AUC", "log_loss": "log loss"}
    for task, figures in result["tasks"].items():
        table = Table(title=task, title_justify="left")
        table.add_column("")
        for heading in ("A", "B", "A minus B [95 %]"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for name, figure in figures.items():
            sides = [estimate(figure[side], interval=False) for side in ("a", "b")]
            table.add_row(names[name], *sides, signed(figure["difference"]), figure["verdict"])
        console.print(table)
    for line in compared(result):
        console.print(line)


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
