"""The rebuilt tables, and what was asked further, as a page of markdown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from benchmarks.samples.report import table
from benchmarks.tables.questions import QUESTIONS, Data
from intent.evaluation import ablation_words as words
from intent.evaluation.ablation_page import markdown as tables_markdown


def markdown(
    tables: Mapping, asked: Mapping[str, Mapping], data: Data, command: str, commit: str,
    machine: str,
) -> str:  # fmt: skip
    """The page. `tables` and each of `asked` are results of `intent ablate`."""
    found = tables_markdown(tables)
    first, _, rest = found.partition("\n")
    parts = [
        f"{first}, {datetime.now(UTC).date()}\n",
        "Everything here is simulated data.\n",
        f"    {command}\n",
        f"which runs `intent simulate {' '.join(data.simulate())}`, `intent samples "
        f"{' '.join(data.samples())}` and `intent ablate`. Commit {commit}; {machine}, one core "
        "for a run, two runs at once.\n",
        rest.strip() + "\n",
    ]
    if asked:
        parts.append("## What was tried where an ordering does not hold\n")
        parts += [_asked(name, result) for name, result in asked.items()]
    return "\n".join(parts)


def _asked(name: str, result: Mapping) -> str:
    question = QUESTIONS[name]
    parts = [f"### {name.replace('_', ' ').capitalize()}\n", question.asks + "\n",
             words.what(result) + "\n"]  # fmt: skip
    for one in result["tables"]:
        tasks = one["tasks"]
        rows = [
            [row["title"], task, f"{row['auc'][task]['value']:.4f}",
             *(_difference(row["difference"][task]) if task in row["difference"] else ("", ""))]
            for row in one["rows"] for task in tasks if task in row["auc"]
        ]  # fmt: skip
        parts += [f"Table {one['number']}: {words.finding(one)}\n",
                  table(["", "task", "AUC", "DIPN minus it", "95 %"], rows)]  # fmt: skip
    return "\n".join(parts)


def _difference(apart: Mapping) -> tuple[str, str]:
    return words.signed(apart["value"]), words.signed_span(apart["ci95"])


def figures(tables: Mapping) -> list[dict]:
    """One entry for every ordering of the paper."""
    return [
        {"name": f"table_{t['number']}/{o['task']}/{o['better']} > {o['worse']}",
         "value": round(o["difference"]["value"], 5), "unit": "AUC", "goal": "> 0",
         "met": {"holds": True, "reversed": False}.get(o["verdict"])}
        for t in tables["tables"] for o in t["orderings"]
    ]  # fmt: skip
