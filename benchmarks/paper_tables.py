"""Tables 4, 5 and 6 of the paper on a simulated shop, and what was tried where they differ.

Simulates the shop (its parameters are fixed, their hash is on the page), makes samples, rebuilds
the tables by `intent ablate`, then asks each question of `benchmarks/tables/questions.py` by
further trainings: is it the shop, the budget or the model? Everything is about simulated data.

    python benchmarks/paper_tables.py --work DIR --report FILE [--questions NAME ...] [--quick]

What was simulated and trained stays in DIR, and a run that was stopped goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.feed.data import ROOT, intent  # noqa: E402
from benchmarks.outcome import machine, outcome, tell  # noqa: E402
from benchmarks.tables import report  # noqa: E402
from benchmarks.tables.questions import FULL, QUESTIONS, QUICK, Data, Question  # noqa: E402


def prepare(work: Path, data: Data) -> None:
    """Logs and samples of the shop, made unless they are there; other ones are refused."""
    note, told = work / "data.json", data.told()
    if note.exists():
        if (kept := json.loads(note.read_text())) != told:
            raise SystemExit(f"{work} was made with {kept}, now {told}: give another --work")
        return
    work.mkdir(parents=True, exist_ok=True)
    intent("simulate", "--out", str(work / "logs"), *data.simulate(), "--overwrite")
    intent("samples", "--logs", str(work / "logs"), "--out", str(work / "samples"), *data.samples())
    note.write_text(json.dumps(told))


def ablate(samples: Path, out: Path, preset: str, *more: str) -> dict:
    """Runs `intent ablate`, which prints its progress; what it found."""
    command = ["--samples", str(samples), "--out", str(out), "--preset", preset, *more]
    done = subprocess.run(
        [sys.executable, "-m", "intent.cli", "ablate", *command], cwd=ROOT, stdout=sys.stderr,
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"intent ablate failed with status {done.returncode}; see above")
    return json.loads((out / "tables.json").read_text())


def ask(question: Question, work: Path, preset: str) -> dict:
    """The figures of one question, of its own data where it has some."""
    place = work
    if question.data:
        place = work / question.name
        prepare(place, question.data)
    flags = [x for row in question.rows for x in ("--row", row)]
    flags += [x for each in question.settings for x in ("--set", each)]
    flags += ["--seeds", str(question.seeds)] if question.seeds else []
    out = work / "questions" / question.name
    if not (question.settings or question.data):
        share(work / "tables", out, question.rows)
    return ablate(place / "samples", out, preset, *flags)


def share(tables: Path, out: Path, rows: Sequence[str]) -> None:
    """Runs that the tables have need not be made again where nothing but their number is other."""
    if out.exists():
        return
    (out / "runs").mkdir(parents=True)
    facts = json.loads((tables / "ablation.json").read_text())
    facts.pop("seconds", None)
    (out / "ablation.json").write_text(json.dumps(facts))
    for run in sorted((tables / "runs").iterdir()):
        if run.name.rpartition("-")[0] in ("dipn", *rows):
            shutil.copytree(run, out / "runs" / run.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--report", type=Path, help="markdown file to write")
    parser.add_argument("--json", type=Path, help="file for the result as one line of JSON")
    parser.add_argument("--preset", default="standard", help="smoke, standard or full")
    parser.add_argument("--questions", nargs="*", choices=sorted(QUESTIONS), help="default: all")
    parser.add_argument("--quick", action="store_true", help="does it run? small data, smoke")
    a = parser.parse_args()
    data, preset = (QUICK, "smoke") if a.quick else (FULL, a.preset)
    prepare(a.work, data)
    (a.work / "questions").mkdir(exist_ok=True)
    tables = ablate(a.work / "samples", a.work / "tables", preset)
    names = sorted(QUESTIONS) if a.questions is None else a.questions
    asked = {name: ask(QUESTIONS[name], a.work, preset) for name in names}
    command = f"python benchmarks/paper_tables.py --work DIR --report FILE --preset {preset}"
    result = outcome("paper_tables", a.quick, report.figures(tables))
    if a.report:
        page = report.markdown(tables, asked, data, command, result["commit"], machine())
        a.report.write_text(page)
    tell(result, a.json)


if __name__ == "__main__":
    main()
