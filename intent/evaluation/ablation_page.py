"""The tables of an ablation as a page: HTML for people, markdown for a repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

from intent.evaluation import ablation_words as words
from intent.report import page
from intent.report.svg import FIRST, MUTED, SECOND, svg
from intent.report.words import number, span

TEMPLATE = Path(__file__).with_name("ablation.html.j2")
ROW_INCHES, MARGIN_INCHES, WIDTH_INCHES, LABELS = 0.3, 0.75, 4.6, 0.45
LABEL_LETTERS = 29  # of a line, so that it fits beside the figure


def check_packages() -> None:
    """IntentError where a package that the page needs is missing."""
    page.check_packages("page")


def write_page(path: Path, result: Mapping) -> Path:
    """Write the page of `intent.evaluation.ablation.judge`'s result, with what `ablate` adds."""
    figures = {
        t["number"]: [
            {"task": task, "svg": dots(result, t, task), "caption": words.caption(result, t, task)}
            for task in t["tasks"]
        ]
        for t in result["tables"]
    }
    values = {
        "result": result, "figures": figures, "words": words, "signed": words.signed,
        "simulated": words.simulated(result),
    }  # fmt: skip
    return page.write_page(path, TEMPLATE, values, "page of tables")


def dots(result: Mapping, table: Mapping, task: str) -> str:
    """Ours with their intervals, and the paper's, a line for each row; the best is on top."""
    rows = [r for r in table["rows"] if task in r["auc"]]
    rows.sort(key=lambda r: r["auc"][task]["value"])
    height = MARGIN_INCHES + ROW_INCHES * len(rows)
    place = (LABELS, 0.55 / height, 0.97 - LABELS, 1 - 0.7 / height)

    def draw(axes) -> None:
        for y, row in enumerate(rows):
            auc = row["auc"][task]
            if auc["ci95"]:
                axes.plot(auc["ci95"], [y, y], color=FIRST, linewidth=3, alpha=0.35,
                          solid_capstyle="round")  # fmt: skip
            axes.plot([auc["value"]], [y], "o", color=FIRST, ms=5)
        theirs = [(r["paper"][task], y) for y, r in enumerate(rows) if task in r["paper"]]
        if theirs:
            axes.plot(*zip(*theirs, strict=True), "D", color=SECOND, ms=4, mfc="none")
        if words.lowest(table, task) < words.GUESSING_SHOWN:
            axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        titles = [fill(r["title"], LABEL_LETTERS) for r in rows]
        axes.set_yticks(range(len(rows)), titles, linespacing=0.9)
        axes.set(xlabel="AUC", ylim=(-0.6, len(rows) - 0.4))
        axes.grid(axis="y", visible=False)

    name = f"table-{table['number']}-{task}"
    return svg(name, ((WIDTH_INCHES, height), place), draw, words.caption(result, table, task))


def markdown(result: Mapping) -> str:
    """The same tables without figures."""
    warning = result["budget"].get("warning")
    parts = [f"# {words.title(result)}\n", *([f"**{warning}**\n"] if warning else [])]
    parts += [words.summary(result) + "\n", words.what(result) + "\n"]
    for table in result["tables"]:
        tasks = table["tasks"]
        parts += [f"## Table {table['number']}: {table['title']}\n", words.finding(table) + "\n"]
        heads = [head for task in tasks for head in _heads(table, task)]
        rows = [[r["title"], *(c for task in tasks for c in _cells(table, r, task))]
                for r in table["rows"]]  # fmt: skip
        parts.append(_table(["", *heads], rows))
        parts += [f"{line}\n" for line in table["missing"]]
        rows = [
            [f"{words.name_of(table, o['better'])} > {words.name_of(table, o['worse'])}", o["task"],
             words.signed(o["paper"]), words.signed(o["difference"]["value"]),
             words.signed_span(o["difference"]["ci95"]), words.signed(o["difference"]["sd"]),
             o["verdict"]]
            for o in table["orderings"]
        ]  # fmt: skip
        parts.append(_table(
            ["the paper says", "task", "by", "here by", "95 %", "sd over seeds", ""], rows
        ))  # fmt: skip
    return "\n".join(parts)


def _heads(table: Mapping, task: str) -> list[str]:
    paper = ["the paper"] if words.in_paper(table, task) else []
    return [f"AUC {task}", "95 %", *paper, "DIPN minus it", "95 %"]


def _cells(table: Mapping, row: Mapping, task: str) -> list[str]:
    auc, apart = row["auc"].get(task), row["difference"].get(task)
    paper = [number(row["paper"][task], 4) if task in row["paper"] else ""]
    return [
        number(auc["value"], 4) if auc else "",
        span(auc["ci95"]) if auc else "",
        *(paper if words.in_paper(table, task) else []),
        words.signed(apart["value"]) if apart else "",
        words.signed_span(apart["ci95"]) if apart else "",
    ]


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(each) + " |" for each in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines) + "\n"
