"""The leakage report on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from intent.report.words import horizon, percent
from intent.samples.leaks import words

MOST_ENTRIES, MOST_COLUMNS = 10, 10  # in the tables, besides what gives away


def show(facts: Mapping) -> None:
    """Print the verdict, the entries and the features that foretell most."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    points = Table.grid(padding=(0, 1))
    for sentence in words.verdict(facts):
        points.add_row("•", Text(sentence))  # names may hold what rich takes for markup
    console.print(words.headline(facts), style="bold")
    console.print(points)
    tasks = {task: horizon(about["horizon_ms"]) for task, about in facts["tasks"].items()}
    table = Table(
        title="Who buys after an entry: rate (95 % interval), times that of all groups",
        title_justify="left",
    )
    table.add_column("entry", overflow="fold")
    table.add_column("when")
    for heading in ("groups", "users"):
        table.add_column(heading, justify="right", no_wrap=True)
    for within in tasks.values():
        table.add_column(f"within {within}", justify="right")
    for entry in entries_shown(facts):
        cells = [_rate(entry["tasks"][task]) for task in tasks]
        style = "bold red" if entry["gives_away"] else "yellow" if entry["comes_close"] else None
        counts = (f"{entry['groups']:,}", f"{entry['users']:,}")
        table.add_row(Text(entry["entry"]), entry["when"], *counts, *cells, style=style)
    console.print(table)
    table = Table(title="Features, each alone: AUC (0.5 is guessing)", title_justify="left")
    table.add_column("feature", overflow="fold")
    for within in tasks.values():
        table.add_column(f"within {within}", justify="right")
    for column in columns_shown(facts):
        cells = [_auc(column["tasks"][task]) for task in tasks]
        table.add_row(column["column"], *cells, style="bold red" if column["gives_away"] else None)
    console.print(table)
    rare = (
        f"{facts['rare']:,} rows of fewer than {facts['thresholds']['users']} users are left out."
    )
    console.print(f"{facts['groups']:,} groups of {facts['users']:,} users. {rare}")


def entries_shown(facts: Mapping, most: int = MOST_ENTRIES) -> list[Mapping]:
    """All entries that give away, and the `most` that foretell most besides; each where it does.

    At the cut or as the last action of its view: most entries are listed for both.
    """
    once: dict[str, Mapping] = {}
    for entry in facts["entries"]:
        once.setdefault(entry["entry"], entry)
    some = sum(bool(entry["gives_away"]) for entry in once.values())
    return list(once.values())[: some + most]


def columns_shown(facts: Mapping, most: int = MOST_COLUMNS) -> list[Mapping]:
    """All features that give away, and the `most` that foretell most besides."""
    bad = [c for c in facts["columns"] if c["gives_away"]]
    return bad + [c for c in facts["columns"] if not c["gives_away"]][:most]


def _rate(of: Mapping) -> str:
    low, high = (f"{100 * end:.0f}" for end in of["ci95"])
    lift = "" if of["lift"] is None else f", {of['lift']:.1f}x"
    return f"{percent(of['rate'])} ({low}-{high}){lift}"


def _auc(of: Mapping) -> str:
    if of["auc"] is None:
        return "-"
    interval = f" ({of['ci95'][0]:.3f}-{of['ci95'][1]:.3f})" if of["ci95"] else ""
    return f"{of['auc']:.3f}{interval}"
