"""An explanation as a page: one HTML file with tables and figures, readable on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from intent.evaluation import explain_plots, explain_words
from intent.evaluation.explain import Explanation
from intent.evaluation.explain_words import by_effect, stands_out
from intent.evaluation.pairs import read_rows
from intent.report.page import write_page
from intent.report.words import horizon, plural
from intent.samples.peek_table import before

TEMPLATE = Path(__file__).with_name("explain.html.j2")


def write_explanation(path: str | Path, explanation: Explanation, task: str, actions: int) -> Path:
    """Write an explanation to the local file `path`, atomically, and return the path.

    Args:
        task: whose effect decides what comes first, and is drawn.
        actions: how many of each view stand in tables; 0 for all.

    Raises IntentError where the file cannot be written.
    """
    told = explanation.told
    values = {
        "told": told,
        "task": task,
        "within": horizon(told["tasks"][task]),
        "simulated": "simulated" in told["source"].lower(),
        "sections": _sections(told, task),
        "largest": max(abs(part["effect"][task]) for part in told["parts"]) or 1,
        "views": [_view(view, told, task, actions) for view in told["views"]],
        "pairs": [_pair(pair, explanation) for pair in by_effect(told["pairs"], task)],
        "attends": bool(explanation.attention.intra or explanation.attention.inter),
        "words": explain_words,
        "before": before,
    }
    return write_page(path, TEMPLATE, values, "page")


def _sections(told: Mapping, task: str) -> list[list[dict]]:
    """The parts of each source, the source first; then the last minutes, hours, days."""
    sources = dict.fromkeys(part["source"] for part in told["parts"] if part["source"])
    found = []
    for source in (*sources, ""):
        mine = [part for part in told["parts"] if part["source"] == source]
        found.append([*mine[:1], *by_effect(mine[1:], task)] if source else mine)
    return [section for section in found if section]


def _view(view: str, told: Mapping, task: str, actions: int) -> dict:
    found, within = told["views"][view], horizon(told["tasks"][task])
    drawn = {"name": view, "all": len(found), "top": by_effect(found, task)[: actions or None]}
    if not found:
        return drawn | {"figure": None}
    caption = (
        f"The {plural(len(found), f'{view} action')} in order. Height: effect on the score within "
        f"{within}; blue raised it, orange lowered it. Dotted: pauses of half an hour and more."
    )
    if any(action["attention"] is not None for action in found):
        most = max(found, key=lambda action: action["attention"] or 0)
        times = explain_words.times_even(most["attention"], len(found))
        caption += f" Size: attention, at most {times} of what each would get evenly."
    everything = [action for actions in told["views"].values() for action in actions]
    svg = explain_plots.timeline(
        f"timeline-{view}",
        [action["before_ms"] for action in found],
        [action["effect"][task] for action in found],
        [action["attention"] for action in found],
        max(abs(action["effect"][task]) for action in everything) or 1,
        caption,
    )
    return drawn | {"figure": {"svg": svg, "caption": caption}}


def _pair(pair: Mapping, explanation: Explanation) -> dict:
    told, (v, u) = explanation.told, pair["views"]
    if not stands_out(pair):
        return dict(pair) | {"figures": [], "named": []}
    figures = []
    for asks, asked, weights in read_rows((v, u), told["lengths"], explanation.attention):
        times = explain_words.times_even(float(weights.max()), weights.shape[1])
        caption = (
            f"How {asks} actions (rows) look at {asked} actions (columns). The darkest gets "
            f"{times} of what it would get evenly."
        )
        svg = explain_plots.heat_map(f"map-{asks}-{asked}", weights, asks, asked, caption)
        figures.append({"svg": svg, "caption": caption})
    links = [(*explain_words.link_ends(link, told), link) for link in pair["links"]]
    return dict(pair) | {"figures": figures, "named": links}
