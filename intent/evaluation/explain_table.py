"""An explanation as tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from intent.evaluation.explain import Explanation
from intent.evaluation.explain_words import (
    by_effect,
    link_ends,
    link_weight,
    links_words,
    part_count,
    part_name,
    score,
    signed,
    stands_out,
    summary,
    times_even,
)
from intent.report.words import horizon
from intent.samples.peek_table import WIDE, before, head, lines, plain, terminal

BAR = 12  # columns of the longest bar
LEVEL = {"source": "", "kind": "  ", "fact": "  ", "recent": ""}


def show(explanation: Explanation, task: str, actions: int, page: Path | None = None) -> None:
    """Print an explanation.

    Args:
        task: whose effect decides what comes first, and is drawn as bars.
        actions: how many of each view; 0 for all.
        page: where its figures are.
    """
    told, console = explanation.told, terminal()
    console.print(head(told, explanation.schema, "\n".join(told["notes"]) or None))
    console.print(_scores(told))
    console.print()
    console.print(summary(told, task))
    console.print(_parts(told, task))
    for view, found in told["views"].items():
        if found:
            console.print(_actions(view, found, told, task, actions, console.width))
    if told["pairs"]:
        console.print(_pairs(told, task))
        for pair in told["pairs"]:
            if stands_out(pair):
                console.print(_links(pair, told))
    if page is not None:
        console.print(f"\nwith figures: {page}", soft_wrap=True)


def _scores(told: Mapping) -> Table:
    table = lines("Score")
    table.add_column("")
    for milliseconds in told["tasks"].values():
        table.add_column(f"within {horizon(milliseconds)}", justify="right")
    for name, scores in (
        ("this user, at this cut", told["scores"]),
        ("a user of whom nothing is known", told["nothing"]),
    ):
        table.add_row(name, *[score(scores[task]) for task in told["tasks"]])
    return table


def _parts(told: Mapping, task: str) -> Table:
    table = lines("What each part did: the score minus the score without it")
    table.add_column("part", overflow="fold")
    table.add_column("of it", justify="right", no_wrap=True)
    _effect_columns(table, told)
    table.add_column("")
    largest = max(abs(part["effect"][task]) for part in told["parts"])
    for source in (*dict.fromkeys(p["source"] for p in told["parts"] if p["source"]), ""):
        whole, *rest = [part for part in told["parts"] if part["source"] == source] or [None]
        for part in filter(None, [whole, *by_effect(rest, task)] if source else [whole, *rest]):
            table.add_row(
                LEVEL[part["part"]] + plain(part_name(part)),
                part_count(part),
                *_effects(part, told),
                _bar(part["effect"][task], largest),
            )
    table.caption = f"bars and order: {horizon(told['tasks'][task])}"
    table.caption_justify = "left"
    return table


def _actions(
    view: str, found: Sequence[Mapping], told: Mapping, task: str, actions: int, width: int
) -> Table:
    shown = by_effect(found, task)[: actions or None]
    some = "all" if len(shown) == len(found) else f"{len(shown):,} of"
    table = lines(f"{view}: {some} {len(found):,} actions, those that moved the score most first")
    table.add_column("before", no_wrap=True)
    table.add_column("action", overflow="fold")
    attended = any(action["attention"] is not None for action in shown)
    if attended:
        table.add_column("attention", justify="right", no_wrap=True)
    _effect_columns(table, told)
    largest = max(abs(action["effect"][task]) for action in found)
    if width >= WIDE:
        table.add_column("")
    for action in shown:
        weight = [times_even(action["attention"], len(found))] if attended else []
        bar = [_bar(action["effect"][task], largest)] if width >= WIDE else []
        name = plain(action["text"])
        table.add_row(before(action), name, *weight, *_effects(action, told), *bar)
    if attended:
        table.caption = "attention: 1.0x is what each action would get if all got the same"
        table.caption_justify = "left"
    return table


def _pairs(told: Mapping, task: str) -> Table:
    table = lines("Pairs of views: the score minus the score if they said nothing together")
    table.add_column("pair")
    _effect_columns(table, told)
    table.add_column("strongest attention", overflow="fold")
    for pair in by_effect(told["pairs"], task):
        table.add_row(" and ".join(pair["views"]), *_effects(pair, told), links_words(pair))
    return table


def _links(pair: Mapping, told: Mapping) -> Table:
    table = lines(f"{' and '.join(pair['views'])}: which actions look at which")
    table.add_column("action", overflow="fold", ratio=1)
    table.add_column("looks at", overflow="fold", ratio=1)
    table.add_column("weight", justify="right", no_wrap=True)
    for link in pair["links"]:
        ends = [plain(end) for end in link_ends(link, told)]
        table.add_row(*ends, link_weight(link))
    return table


def _effect_columns(table: Table, told: Mapping) -> None:
    for milliseconds in told["tasks"].values():
        table.add_column(horizon(milliseconds), justify="right", no_wrap=True)


def _effects(item: Mapping, told: Mapping) -> list[str]:
    return [signed(item["effect"][task]) for task in told["tasks"]]


def _bar(effect: float, largest: float) -> Text:
    """Blocks as long as the effect is great; its sign stands in the number."""
    eighths = round(8 * BAR * abs(effect) / largest) if largest else 0
    text = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    return Text(text, style="blue" if effect > 0 else "yellow")
