"""Try many settings on the same samples and keep the best run: `intent sweep`, on Ray Tune."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intent.errors import UsageError
from intent.storage import local

if TYPE_CHECKING:
    from intent.sweep.ledger import Ledger

AS_MANY = 16  # trials, unless told or given by a grid


def command(
    samples: Annotated[str, typer.Option(help="Samples made by `intent samples`: folder or URL.")],
    out: Annotated[str, typer.Option(help="Folder of the sweep, which every node sees.")],
    space: Annotated[Path, typer.Option(help="YAML: field -> {loguniform: [1e-4, 1e-2]} etc.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML with what is the same in all trials.")
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE of all trials; repeatable.")
    ] = [],  # noqa: B006  typer reads it
    trials: Annotated[
        int | None, typer.Option(help="In all (default: each point of the grids once, or 16).")
    ] = None,
    max_epochs: Annotated[int, typer.Option(help="Epochs of a trial at most.")] = 9,
    grace: Annotated[int, typer.Option(help="Epochs before which no trial is stopped.")] = 1,
    reduction: Annotated[int, typer.Option(help="One trial in so many goes on at each rung.")] = 3,
    parallel: Annotated[
        int | None, typer.Option(help="Trials at a time (default: as there is room).")
    ] = None,
    np: Annotated[int, typer.Option("--np", help="Horovod ranks of a trial, on one node.")] = 1,
    cores: Annotated[int, typer.Option(help="Cores of a rank.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the values that are drawn.")] = 0,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto or HOST:PORT (default: Ray on this one).")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also run what had failed for good.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout.")
    ] = False,
) -> None:
    """Try settings drawn from a search space; stop poor trials early; keep the best run.

    Trials are compared on validation days, never on the held-out ones. Writes OUT/sweep.json,
    sweep.html, trials/ID and best, which are run folders. The same command goes on with a sweep.
    Next: intent evaluate --run OUT/best --samples SAMPLES.
    """
    from intent.config import load_config
    from intent.report.page import check_packages
    from intent.sweep.ledger import alone, open_ledger
    from intent.sweep.space import read_space, size_of_grid
    from jobs.sweeping import (
        asked_of,
        checked,
        draw_trials,
        finish,
        for_selection,
        run_waiting,
        work_of,
    )

    check_packages("sweep's page")
    least_one = {
        "--trials": trials, "--max-epochs": max_epochs, "--grace": grace, "--parallel": parallel,
        "--np": np, "--cores": cores,
    }  # fmt: skip
    folder = _check_flags(out, least_one)
    if grace > max_epochs or reduction < 2:
        raise UsageError(
            f"--grace {grace} must not exceed --max-epochs {max_epochs}, and --reduction "
            f"{reduction} must be at least 2"
        )
    known = read_space(space)
    count = trials or (size_of_grid(known) if size_of_grid(known) > 1 else AS_MANY)
    if count < size_of_grid(known):
        raise UsageError(
            f"the grids of {space} have {size_of_grid(known)} points and --trials {count} would "
            "leave some out: give more, or write choice for grid"
        )
    settings = for_selection(load_config(config, set_), max_epochs)
    drawn, each = draw_trials(known, settings, seed, count, str(space))
    manifest = checked(samples, list(each.values()))
    asked = asked_of(samples, manifest, settings, known)
    asked |= {"seed": seed, "max_epochs": max_epochs, "grace": grace, "reduction": reduction}
    with alone(folder):
        ledger = open_ledger(folder, asked, drawn)
        if retry_failed:
            for trial in ledger.of("failed"):
                ledger.note(trial.id, state="waiting", reason="")
        ledger.save()
        left = [trial.id for trial in ledger.of("waiting")]
        works = [work_of(ledger, samples, each[id], np, cores, id) for id in left]
        if works:
            run_waiting(ledger, works, parallel, address)
        result = finish(ledger, known, manifest)
    if as_json:
        print(json.dumps(result))
    else:
        _show(ledger, result, samples)


def _check_flags(out: str, least_one: Mapping[str, int | None]) -> Path:
    """The sweep's folder; UsageError where something is not what it must be."""
    folder = local(out)
    if folder is None:
        raise UsageError(f"--out must be a folder that all nodes see, not a URL; got {out}")
    for flag, value in least_one.items():
        if value is not None and value < 1:
            raise UsageError(f"{flag} must be at least 1, got {value}")
    return folder


def _show(ledger: Ledger, result: dict[str, Any], samples: str) -> None:
    from rich.console import Console

    from intent.sweep.table import table_of

    console = Console()
    console.print(table_of(ledger))
    console.print(f"best run: {result['run']}; page: {result['page']}", soft_wrap=True)
    judge = shlex.join(["intent", "evaluate", "--run", result["run"], "--samples", samples])
    console.print(
        f"This AUC is the highest of many, so it flatters. On the held-out days: {judge}",
        soft_wrap=True,
        markup=False,
    )


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
