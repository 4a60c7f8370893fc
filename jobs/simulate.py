"""Writes the raw logs of a simulated shop: `intent simulate --out LOGS --users 200 --seed 1`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from intent.progress import progress
from intent.simulate.shop import simulate


def command(
    out: Annotated[Path, typer.Option(help="Folder to write the logs to; must be empty or new.")],
    users: Annotated[int, typer.Option(help="Number of users.")] = 200,
    days: Annotated[
        int, typer.Option(help="Number of days. Labels look one day ahead, so take at least 3.")
    ] = 8,
    seed: Annotated[
        int, typer.Option(help="Random numbers; the same seed gives the same logs.")
    ] = 0,
    rate: Annotated[
        float,
        typer.Option(
            help="Taps and swipes relative to the paper's Table 1 (391 and 1583 a day). 0.2 makes "
            "small logs for a demonstration. Pages and browse rows stay; taps that tell most "
            "become rarer by the root of it only."
        ),
    ] = 1.0,
    dirt: Annotated[
        bool,
        typer.Option(
            "--dirt", help="Add duplicates, bots, broken rows, wrong clocks, missing views (2 %)."
        ),
    ] = False,
    start: Annotated[
        str, typer.Option(help="First day of the logs, YYYY-MM-DD, UTC.")
    ] = "2026-01-05",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT if it holds a simulated shop.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout: what was written.")
    ] = False,
) -> None:
    """Simulate a shop's raw logs, with a hidden purchase intent that nobody writes down.

    Writes OUT/touch, OUT/tap, OUT/browse, OUT/profile and OUT/history as Parquet, and OUT/shop.json
    with the settings. An active day of a user has about 2,000 rows at rate 1.

    Next: intent samples --logs OUT --out SAMPLES
    """
    with progress("simulating", total=users, unit="users") as bar:
        summary = simulate(
            out, users, days, seed, rate=rate, dirt=dirt, start=start, overwrite=overwrite,
            advance=bar.advance,
        )  # fmt: skip
    rows = ", ".join(f"{count:,} {table}" for table, count in summary["rows"].items())
    print(f"simulated logs of {users:,} users, {days} days: {rows} rows in {out}", file=sys.stderr)
    if as_json:
        print(json.dumps(summary))


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
