"""Rebuild the paper's Tables 4, 5 and 6 on samples of your own: `intent ablate`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intent.errors import IntentError, UsageError

if TYPE_CHECKING:
    from cluster.tune.work import Heard, Work
    from intent.evaluation.budgets import Budget
    from intent.evaluation.paper_tables import Contender
    from intent.samples.manifest import Manifest


def command(
    samples: Annotated[str, typer.Option(help="Samples made by `intent samples`: folder or URL.")],
    out: Annotated[str, typer.Option(help="Folder for runs and tables; one that exists goes on.")],
    table: Annotated[
        list[int], typer.Option(help="4, 5 or 6; repeatable (default: all three).")
    ] = [],  # noqa: B006  typer reads it
    row: Annotated[
        list[str], typer.Option(help="Only these rows and DIPN, such as gbdt; repeatable.")
    ] = [],  # noqa: B006
    preset: Annotated[str, typer.Option(help="Training of each run: smoke, standard, full.")] = (
        "standard"
    ),
    seeds: Annotated[int | None, typer.Option(help="Trainings of each row.", min=1)] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE for every run; repeatable.")
    ] = [],  # noqa: B006
    cpus: Annotated[int, typer.Option(help="Cores of a run; as many runs at once as fit.")] = 1,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to run on (default: this machine).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout.")
    ] = False,
) -> None:
    """Train what Tables 4 to 6 compare, all with the same budget, and say what holds here.

    Writes OUT/runs/NAME-SEED (ordinary run folders), and OUT/tables.html, tables.md, tables.json.
    The same command goes on where it was stopped; runs that are evaluated are not run again.
    """
    from intent.evaluation.ablation_page import check_packages, markdown, write_page
    from intent.evaluation.paper_tables import contenders, tables
    from intent.samples.reader import open_samples
    from intent.storage import local, write_atomically

    budget, folder = _budget(preset, seeds), local(out)
    if folder is None:
        raise UsageError(f"--out is a folder of this machine, and {out} is not one")
    manifest = open_samples(samples)
    sources = [v.name for v in manifest.schema.views]
    sources += [name for name in ("history", "profile") if getattr(manifest.schema, name)]
    wanted = tables(table or [4, 5, 6], sources, [t.name for t in manifest.schema.tasks], row)
    check_packages()
    rows = contenders(wanted)
    _check(rows, budget, samples, set_)
    _agree(folder, {"preset": preset, "set": sorted(set_), "samples": manifest.content_hash()})
    runs = _runs(rows, budget, folder)
    works = [
        _work(c, seed, run, samples, budget, set_, cpus)
        for c, seed, run in runs if not _done(run)
    ]  # fmt: skip
    _tell(f"{len(runs)} runs of {len(rows)} configurations, {len(runs) - len(works)} of them there")
    if works:
        _run_all(works, folder, address)
    result = _judge(wanted, runs, budget, set_, manifest, samples)
    result |= {"seconds": _note(folder).get("seconds", 0.0), "runs": len(runs)}
    write_atomically(folder / "tables.json", json.dumps(result, indent=1))
    write_atomically(folder / "tables.md", markdown(result))
    write_page(folder / "tables.html", result)
    if as_json:
        print(json.dumps(result))
    else:
        from intent.evaluation.ablation_table import show

        show(result, folder / "tables.html")


def _budget(preset: str, seeds: int | None) -> Budget:
    from dataclasses import replace

    from intent.evaluation.budgets import BUDGETS

    if preset not in BUDGETS:
        raise UsageError(f"--preset is one of {', '.join(BUDGETS)}; got {preset!r}")
    budget = BUDGETS[preset]
    return budget if seeds is None else replace(budget, seeds=seeds)


def _agree(out: Path, facts: dict[str, Any]) -> None:
    """Note what all runs of the folder have in common, or see that they still do."""
    if before := _note(out):
        for key, value in facts.items():
            if before.get(key) != value:
                raise IntentError(
                    f"the runs in {out} were made with {key}={before.get(key)!r}, now it is "
                    f"{value!r}: rows of one table need one budget. Give it as it was, or another "
                    "--out"
                )
        return
    if out.exists() and any(out.iterdir()):
        raise IntentError(f"{out} holds files but no ablation: name a new or an empty folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {out}: {error.strerror}; name another") from None
    _note(out, **facts)


def _note(out: Path, **more: Any) -> dict[str, Any]:
    """What OUT/ablation.json says, with `more` written into it; {} where there is none."""
    from intent.storage import write_atomically

    file = out / "ablation.json"
    facts = (json.loads(file.read_text()) if file.exists() else {}) | more
    if more:
        write_atomically(file, json.dumps(facts))
    return facts


def _check(rows: Sequence[Contender], budget: Budget, samples: str, more: list[str]) -> None:
    """IntentError where a row could not be trained: now, and not hours later."""
    from intent.config import load_config
    from jobs.train import check_data

    said = {each.partition("=")[0] for each in more}
    for number, c in enumerate(rows):
        if both := said & set(c.settings):
            raise UsageError(
                f"--set {', '.join(sorted(both))} is what makes the row {c.title} ({c.name}) what "
                "it is: all rows would be the same. Leave it, or name other rows by --row"
            )
        try:
            settings = load_config(None, _settings(c, 0, budget, more))
            check_data(samples, settings, content=number == 0)
        except IntentError as error:
            raise type(error)(f"the row {c.title} ({c.name}) cannot be trained: {error}") from None


def _settings(c: Contender, seed: int, budget: Budget, more: list[str]) -> list[str]:
    """KEY=VALUE of a run; what the user says of all rows comes last."""
    own = {**budget.settings, **c.settings, "train.seed": seed}
    return [*(f"{key}={json.dumps(value)}" for key, value in own.items()), *more]


Run = tuple["Contender", int, Path]


def _runs(rows: Sequence[Contender], budget: Budget, out: Path) -> list[Run]:
    """Seed by seed, so that all rows are there as early as possible."""
    return [
        (c, seed, out / "runs" / f"{c.name}-{seed}") for seed in range(budget.seeds) for c in rows
    ]


def _done(folder: Path) -> bool:
    return (folder / "evaluation.json").exists()


def _work(
    c: Contender, seed: int, folder: Path, samples: str, budget: Budget, more: list[str], cpus: int
) -> Work:
    from cluster.tune.work import Work

    flags = [x for each in _settings(c, seed, budget, more) for x in ("--set", each)]
    intent = ("-m", "intent.cli")
    place = ("--run", str(folder.absolute()), "--samples", samples)
    log = folder.parent.parent / "logs" / f"{folder.name}.log"
    train = (*intent, "train", *place, *flags)
    commands = (train, (*intent, "evaluate", *place))
    return Work(
        folder.name, str(folder.absolute()), commands, 1, cpus, os.getcwd(), str(log.absolute())
    )


def _run_all(works: list[Work], out: Path, address: str | None) -> None:
    """Run them on Ray; IntentError where one fails, once the others have ended."""
    from cluster.tune.driver import run_works

    ended, failed = [], []
    began, before = time.monotonic(), _note(out).get("seconds", 0.0)

    def hear(news: Heard) -> None:
        if news.what in ("ended", "failed"):
            ended.append(news)
            failed.extend([news] * (news.what == "failed"))
            done = "done" if news.what == "ended" else "failed"
            _tell(f"{len(ended)} of {len(works)}: {news.id} {done}")
            _note(out, seconds=round(before + time.monotonic() - began, 1))
        elif news.what == "again":
            _tell(f"{news.id} is begun again: {news.why}")

    cut = run_works(works, hear, lambda: False, scratch=out / ".ray", address=address)
    if cut == "full":
        raise IntentError(f"the disk is full ({out}): free some space and run it again")
    if cut and len(ended) < len(works):
        left = len(works) - len(ended)
        raise IntentError(f"stopped by {cut} with {left} runs left: the same command goes on")
    if failed:
        one = failed[0]
        raise IntentError(
            f"{len(failed)} of {len(works)} runs failed, the first is {one.id}: {one.why} (its "
            f"log: {out / 'logs' / one.id}.log): mend that and give the same command again"
        )


def _judge(wanted, runs: Sequence[Run], budget: Budget, more, manifest: Manifest, samples) -> dict:
    from intent import __version__
    from intent.evaluation.ablation import judge

    files: dict[str, list[Path]] = {}
    for c, _, folder in runs:
        files.setdefault(c.name, []).append(folder / "predictions.parquet")
    _tell("comparing")
    found = judge(files, wanted, budget.resamples)
    days = json.loads((runs[0][2] / "evaluation.json").read_text())["days"]
    return found | {
        "budget": {"name": budget.name, "seeds": budget.seeds, "settings": dict(budget.settings),
                   "warning": budget.warning},
        "set": list(more), "source": manifest.source, "samples": samples, "days": days,
        "content_hash": manifest.content_hash(), "version": __version__,
    }  # fmt: skip


def _tell(text: str) -> None:
    print(f"intent: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
