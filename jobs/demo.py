"""The whole way in one command: `intent demo`, or `make demo`.

Every stage is the command that a user would type; the demonstration prints and runs it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from intent.errors import IntentError, UsageError

# A small shop, so that everything fits into a few minutes on two cores: fewer users and days than
# anybody's shop, a tenth of Table 1's touch actions, windows of 64 actions instead of 256, and 8
# cuts a day instead of 30.
USERS, DAYS, RATE, SEED = 800, 8, 0.1, 7
LENGTH, CUTS, BATCH = 64, 8, 128
# Mean difference of a probability between device and trainer. The device's weights are rounded to
# 8 bits, which costs a few thousandths; a window or an id that differs costs far more.
AGREEMENT = 0.01


def command(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("demo"),
    np: Annotated[int, typer.Option("--np", help="Horovod processes that train.")] = 2,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout.")
    ] = False,
) -> None:
    """Simulate a shop, build samples, train, evaluate, export, and score raw events on the device.

    Small on purpose: 800 users, 8 days, a tenth of the paper's touch actions, windows of 64 actions
    instead of 256, 8 cuts a day instead of 30. Takes a few minutes on two cores.
    """
    started = time.monotonic()
    _make_way(out)
    logs, samples, run = out / "logs", out / "samples", out / "run"
    say(
        f"A simulated shop of {USERS} users over {DAYS} days; {RATE:g} of the paper's touch "
        f"actions, windows of {LENGTH} actions (the paper: 256), {CUTS} cuts a day (30). "
        f"Everything goes to {out}/."
    )
    stages = {
        "simulate": ["--out", logs, "--users", USERS, "--days", DAYS, "--rate", RATE,
                     "--seed", SEED, "--overwrite"],
        "samples": ["--logs", logs, "--out", samples, "--set", f"samples.length={LENGTH}",
                    "--set", f"samples.cuts_per_day={CUTS}"],
        "train": ["--samples", samples, "--run", run, "--np", np,
                  "--set", f"train.batch_size={BATCH}"],
        "evaluate": ["--run", run, "--samples", samples],
        "export": ["--run", run],
    }  # fmt: skip
    results, seconds = {}, {}
    for stage, arguments in stages.items():
        began = time.monotonic()
        results[stage] = run_stage(stage, [str(a) for a in arguments])
        seconds[stage] = time.monotonic() - began
    began = time.monotonic()
    say("$ intent score, for 200 held-out users and moments, compared with the trainer's scores")
    results["agreement"] = _agreement(run, logs)
    seconds["agreement"] = time.monotonic() - began
    if results["agreement"]["mean_difference"] > AGREEMENT:
        raise IntentError(
            f"device and trainer differ by {results['agreement']['mean_difference']:.3f} in a "
            f"probability on average, more than {AGREEMENT}: the bundle must not ship"
        )
    total = time.monotonic() - started
    if as_json:
        print(json.dumps({"seconds": total, "stages": seconds, **results}))
    else:
        _show(results, seconds, total, run / "report.html")


def say(text: str) -> None:
    """A line about what happens, on stderr."""
    print(text, file=sys.stderr, flush=True)


def run_stage(stage: str, arguments: list[str]) -> dict:
    """Run one `intent` command; returns its JSON. Its failure is ours."""
    say(f"\n$ intent {stage} {' '.join(arguments)}")
    program = [sys.executable, "-m", "intent.cli", stage, *arguments, "--json"]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise IntentError(f"the stage `intent {stage}` failed with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _make_way(out: Path) -> None:
    """Remove what an earlier demonstration left in `out`, and nothing else."""
    marker = out / ".intent-demo"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        raise UsageError(f"{out} is not empty and not of a demonstration; give another --out")
    for name in ("run", "samples"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _agreement(run: Path, logs: Path) -> dict:
    from intent.edge.agreement import agreement
    from intent.edge.runtime import Bundle
    from intent.evaluation.predict import Predictions

    found = Predictions.load(run / "predictions.parquet")
    return agreement(Bundle.load(run / "device"), logs, found.users, found.times, found.scores)


def _show(results: dict, seconds: dict, total: float, report: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from jobs.evaluate import estimate

    samples, train, evaluation = results["samples"], results["train"], results["evaluate"]
    device, agree = results["export"], results["agreement"]
    rows = sum(results["simulate"]["rows"].values())
    rates = f"{samples['label_rate_realtime']:.1%} buy within 1 h, "
    rates += f"{samples['label_rate_longterm']:.1%} within a day"
    facts = {
        "simulate": f"{rows:,} rows of raw logs (simulated)",
        "samples": f"{samples['groups']:,} groups, {samples['bytes_per_group']:.0f} bytes each; "
        + rates,
        "train": f"{train['groups']:,} groups on {train['ranks']} Horovod processes, "
        f"{train['groups_per_second']:,.0f} groups/s",
        "evaluate": f"AUC real-time {estimate(evaluation['auc_realtime'])}, long-term "
        f"{estimate(evaluation['auc_longterm'])}; {evaluation['groups']:,} groups of "
        f"{evaluation['users']:,} users on {', '.join(evaluation['days'])}",
        "export": f"{device['size_mib']:.1f} MiB for the device, weights {device['quantization']}",
        "agreement": f"{agree['groups']} groups scored from raw events: "
        f"{agree['mean_difference']:.1e} from the trainer's score on average, at most "
        f"{agree['max_difference']:.1e}",
    }
    table = Table(title="From raw logs to the device (simulated data)", title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("result")
    table.add_column("time", justify="right", no_wrap=True)
    for stage, fact in facts.items():
        table.add_row(stage, fact, f"{seconds[stage]:.0f} s")
    table.add_row("", "", f"{total:.0f} s")
    console = Console()
    console.print()
    console.print(table)
    console.print(f"report: {report}", soft_wrap=True)


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
