"""The tables of an ablation on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from intent.evaluation import ablation_words as words
from intent.report.words import number, span


def show(result: Mapping, path: Path) -> None:
    """Print every table with its finding, and where the page is."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if warning := result["budget"].get("warning"):
        console.print(f"Preset {result['budget']['name']}. {warning}", style="bold yellow")
    for table in result["tables"]:
        shown = Table(
            title=f"Table {table['number']}: {table['title']}"
            + (" (simulated data)" if words.simulated(result) else ""),
            title_justify="left",
        )
        shown.add_column("AUC", overflow="fold", min_width=16)
        for task in table["tasks"]:
            shown.add_column(f"{task}\n95 %", justify="right", no_wrap=True)
            if words.in_paper(table, task):
                shown.add_column("paper", justify="right", no_wrap=True)
        for row in table["rows"]:
            cells = []
            for task in table["tasks"]:
                auc = row["auc"].get(task)
                cells.append(f"{number(auc['value'], 4)}\n{span(auc['ci95'])}" if auc else "")
                if words.in_paper(table, task):
                    cells.append(number(row["paper"][task], 4) if task in row["paper"] else "")
            shown.add_row(row["title"], *cells)
        console.print(shown)
        console.print(words.finding(table))
        for line in table["missing"]:
            console.print(line)
    console.print(words.what(result), style="dim")
    console.print(f"page: {path}", soft_wrap=True)
