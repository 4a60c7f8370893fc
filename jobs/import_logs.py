"""Writes a public log as our raw tables: `intent import taobao UserBehavior.csv --out LOGS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from intent.progress import progress
from intent.sources import SOURCES, convert


def command(
    name: Annotated[str, typer.Argument(help=f"What the log is: {', '.join(SOURCES)}.")],
    src: Annotated[Path, typer.Argument(help="Its file, or the folder that has it.")],
    out: Annotated[Path, typer.Option(help="Folder to write the raw tables to.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout: what was written.")
    ] = False,
) -> None:
    """Bring in a public clickstream: its rows become OUT/browse, every one of them.

    Rows that cannot be understood are written too, marked as broken; the next step counts them
    and puts them into quarantine. Next: intent samples --logs OUT.
    """
    with progress("importing", unit="rows") as bar:
        done = convert(name, src, out, bar.advance)
    types = ", ".join(f"{count:,} {kind}" for kind, count in done["types"].items())
    broken = f"; {done['broken']:,} rows could not be understood" if done["broken"] else ""
    what = f"{done['rows']:,} rows of {done['users']:,} users"
    print(f"{what} in {out}: {types}{broken}", file=sys.stderr)
    if as_json:
        print(json.dumps(done))


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
