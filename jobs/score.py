"""Score raw events with a device bundle: `intent score`."""

from __future__ import annotations

import atexit
import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from intent import storage
from intent.errors import IntentError


def command(
    bundle: Annotated[str, typer.Option(help="Bundle made by `intent export`: folder or URL.")],
    logs: Annotated[
        list[str],
        typer.Option(help="Folder with the raw tables; also a glob of such, or a URL; repeatable."),
    ],
    at: Annotated[str, typer.Option(help="Moment in UTC: 2026-01-08T12:00:00, or epoch ms.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON on stdout instead of CSV.")
    ] = False,
) -> None:
    """Say for every user, from what they did until a moment, how likely they are to buy.

    Prints CSV: user_id and one probability a task. Runs with LiteRT alone, as on a device.
    """
    from intent.edge.runtime import Bundle
    from intent.edge.score import parse_moment, score_at

    moment = parse_moment(at)
    users, scores = score_at(Bundle.load(brought(bundle)), logs, moment)
    tasks = list(scores)
    rows = [[user, *(float(scores[t][i]) for t in tasks)] for i, user in enumerate(users)]
    if as_json:
        scored = {row[0]: dict(zip(tasks, row[1:], strict=True)) for row in rows}
        print(json.dumps({"at": moment, "users": len(rows), "scores": scored}))
        return
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["user_id", *tasks])
    for user, *values in rows:
        out.writerow([user, *(f"{value:.6g}" for value in values)])


def brought(place: str) -> Path:
    """The bundle at a folder or URL, as a folder of this machine."""
    path = storage.local(place)
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="intent-bundle-"))
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        names = storage.files(place)
        if not names:
            raise IntentError(f"{place} is empty; `intent export` makes a bundle")
        for name in names:
            storage.copy(storage.join(place, name), path / name)
    return path


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
