"""The data card as a page: one HTML file with tables, figures, and what stands out in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from intent.report.page import write_page
from intent.report.words import horizon, number, percent, plural
from intent.samples import card_plots, card_words
from intent.samples.card_words import duration
from intent.samples.describe import accounts
from intent.samples.manifest import Manifest

TEMPLATE = Path(__file__).with_name("card.html.j2")


def write_card(path: str | Path, facts: Mapping, manifest: Manifest) -> Path:
    """Write the card of a dataset to the local file `path`, atomically, and return the path.

    Args:
        facts: of `intent.samples.card.collect`.
        manifest: of the dataset.

    Raises IntentError where the file cannot be written.
    """
    values = {
        "facts": facts,
        "manifest": manifest,
        "headline": card_words.headline(facts, manifest),
        "lines": card_words.stands_out(facts, manifest),
        "simulated": "simulated" in manifest.source.lower(),
        "figures": {
            "labels": _labels(facts),
            "views": [_view(view, facts["groups"]) for view in facts["views"]],
            "users": _users(facts),
        },
        "builds": accounts(manifest),
        "codes": sorted({build.code_version for build in manifest.builds}),
        "size": sum(shard.size for shard in manifest.shards),
        "duration": duration,
    }
    return write_page(path, TEMPLATE, values, "card")


def _labels(facts: Mapping) -> list[dict]:
    tasks = {task: f"within {horizon(ms)}" for task, ms in facts["tasks"].items()}
    total = f"{facts['groups']:,} groups"
    figures = []
    for name, what in (("hours", "hour of the day, UTC"), ("days", "day")):
        parts = facts[name]
        caption = f"Groups followed by a purchase, by {what.split(',')[0]} of the cut; {total}."
        svg = card_plots.rates(f"rates-{name}", parts, tasks, what, caption)
        figures.append({"svg": svg, "caption": caption})
        caption = f"How many groups there are, by {what.split(',')[0]}; {total}."
        svg = card_plots.groups(f"groups-{name}", parts, what, caption)
        figures.append({"svg": svg, "caption": caption})
    return figures


def _view(view: Mapping, groups: int) -> dict:
    name, lengths = view["name"], view["lengths"]
    caption = (
        f"Length of the {name} window of {groups:,} groups: median {view['median_length']}, "
        f"{percent(lengths[0] / groups)} empty, {percent(lengths[-1] / groups)} full."
    )
    svg = card_plots.lengths(f"lengths-{name}", lengths, caption)
    drawn = [{"svg": svg, "caption": caption}]
    if n := sum(view["gaps"]):
        caption = (
            f"Time between a {name} action and the one before it, {n:,} gaps: "
            f"median {duration(view['median_gap_ms'])}."
        )
        svg = card_plots.gaps(f"gaps-{name}", view["gaps"], caption)
        drawn.append({"svg": svg, "caption": caption})
    return {"name": name, "drawn": drawn}


def _users(facts: Mapping) -> dict:
    spread = facts["groups_per_user"]
    caption = (
        f"Groups a user, {plural(facts['users'], 'user')}: median {number(spread['median'], 0)}, "
        f"nine in ten have {number(spread['p5'], 0)} to {number(spread['p95'], 0)}, the most "
        f"{number(spread['most'], 0)}."
    )
    return {"svg": card_plots.per_user("per-user", spread, caption), "caption": caption}
