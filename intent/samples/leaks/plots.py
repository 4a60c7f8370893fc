"""The figures of the leakage report: rates and AUCs with their intervals, one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intent.report.svg import FIRST, MUTED, SECOND, few_ticks, svg

ROWS = 15
PLACE = (0.5, 0.12, 0.46, 0.84)  # left, bottom, width, height: names stand at the left
LONGEST = 34  # characters of a name


def entries_plot(entries: Sequence[Mapping], tasks: Mapping) -> list[dict]:
    """One figure a task: positive rates of the entries that foretell most; none without any."""
    if not entries:
        return []
    found = []
    for task, about in tasks.items():
        rows = [(_named(e), e["tasks"][task], task in e["gives_away"]) for e in entries[:ROWS]]
        caption = (
            f"Positive groups after the entry, % ({task}), with 95 % intervals; "
            f"the line is the rate of all groups."
        )
        drawn = _dots(f"entries-{task}", rows, "rate", 100, 100 * about["rate"], caption)
        found.append({"svg": drawn, "caption": caption})
    return found


def columns_plot(columns: Sequence[Mapping], tasks: Mapping) -> list[dict]:
    """One figure a task: AUCs of the features that foretell most."""
    found = []
    for task in tasks:
        rows = [(c["column"], c["tasks"][task], task in c["gives_away"]) for c in columns]
        rows = [row for row in rows if row[1]["auc"] is not None][:ROWS]
        if rows:
            caption = f"AUC of one feature alone ({task}), with 95 % intervals; 0.5 is chance."
            drawn = _dots(f"columns-{task}", rows, "auc", 1, 0.5, caption)
            found.append({"svg": drawn, "caption": caption})
    return found


def _dots(
    name: str, rows: Sequence[tuple], figure: str, scale: float, line: float, label: str
) -> str:
    """A dot with its interval for each row (name, figures, whether it gives away)."""

    def draw(axes) -> None:
        axes.axvline(line, color=MUTED, lw=1)
        for place, (_, of, bad) in enumerate(rows):
            color = SECOND if bad else FIRST
            if of["ci95"]:
                axes.plot(scale * np.array(of["ci95"]), [place, place], color=color, lw=1.4)
            axes.plot([scale * of[figure]], [place], "o", color=color, ms=4)
        axes.set_yticks(range(len(rows)), [_short(row[0]) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(few_ticks())

    return svg(name, ((4.3, 0.7 + 0.21 * len(rows)), PLACE), draw, label)


def _named(entry: Mapping) -> str:
    return entry["entry"] + (" (at the cut)" if entry["when"] == "cut" else "")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
