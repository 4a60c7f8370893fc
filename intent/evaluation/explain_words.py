"""An explanation in words: actions, parts and effects as a reader sees them."""

from __future__ import annotations

from collections.abc import Mapping

from intent.report.words import horizon, plural
from intent.samples.peek_table import before, moved, where

EVEN = 1.05  # below so many times the even share, a weight singles nothing out
SMALL = 0.001  # an effect that is not worth a word


def phrase(view: str, action: Mapping) -> str:
    """An action of `peek_words.describe_group` in a few words.

    "cart, hats (fashion), on Page_Detail", "Button-Buy on Page_Detail", "swipe up 24-28 % on
    Page_Home".
    """
    words = action["words"]
    if view == "browse":
        top = words.get("top_category")
        names = [words["type"], words.get("leaf_category"), f"({top})" if top else None]
    elif view == "tap":
        names = [words.get("button") or words["event"]]
    else:
        way = moved(action) if words["action"] == "swipe" else ""
        names = [words["action"], way or (where(action) and f"at {where(action)}")]
    page = words.get("page")
    return " ".join([*filter(None, names), *([f"on {page}"] if page else [])])


def part_name(part: Mapping) -> str:
    """What a part of `explain` is called, without its source."""
    if part["part"] == "recent":
        return f"the last {horizon(part['name']).removeprefix('1 ')}"
    return str(part["name"]).replace("_", " ") if part["part"] == "fact" else str(part["name"])


def part_count(part: Mapping) -> str:
    """How much a part is: "3 actions", "18 counts", "6 features"."""
    noun = {"history": "count", "profile": "feature"}.get(part["source"], "action")
    return plural(part["count"], noun)


def score(value: float) -> str:
    """A probability: "0.7134"."""
    return f"{value:.4f}"


def signed(value: float) -> str:
    """An effect: "+0.0312", "-0.0004", "0.0000"."""
    text = f"{value:+.4f}"
    return text[1:] if float(text) == 0 else text


def times_even(weight: float | None, of: int) -> str:
    """A weight beside what all would have if they had the same: "1.8x"; empty for None."""
    return "" if weight is None else f"{weight * of:.1f}x"


def by_effect(items: list[dict], task: str) -> list[dict]:
    """Those with the greatest effect on a task first, up or down."""
    return sorted(items, key=lambda item: -abs(item["effect"][task]))


def links_words(pair: Mapping) -> str:
    """How far a pair's attention is from even, in words."""
    if not pair["links"]:
        return "none: a view is empty"
    most = max(link["weight"] / link["even"] for link in pair["links"])
    return f"{most:.1f}x even" if stands_out(pair) else "even: it singles nothing out"


def link_weight(link: Mapping) -> str:
    """A link's weight beside an even share."""
    return times_even(link["weight"], round(1 / link["even"]))


def link_ends(link: Mapping, told: Mapping) -> list[str]:
    """Both actions of a link of `explain`, with their age."""
    ends = []
    for end in (link["from"], link["to"]):
        action = told["views"][end["view"]][end["index"]]
        ends.append(f"{end['view']}, {before(action)}: {action['text']}")
    return ends


def summary(told: Mapping, task: str) -> str:
    """What moved a score most, in a sentence: sources, the greatest first."""
    within = horizon(told["tasks"][task])
    sources = by_effect([part for part in told["parts"] if part["part"] == "source"], task)
    up, down = (
        ", ".join(
            f"{part['source']} ({signed(part['effect'][task])})"
            for part in sources
            if sign * part["effect"][task] >= SMALL
        )
        for sign in (1, -1)
    )
    raised = f"raised by {up}" if up else "raised by nothing much"
    lowered = f"lowered by {down}" if down else "lowered by nothing much"
    return f"Within {within}: {score(told['scores'][task])}, {raised}; {lowered}."


def stands_out(pair: Mapping) -> bool:
    """Whether the attention of a pair of views singles any action out."""
    return any(link["weight"] >= EVEN * link["even"] for link in pair["links"])
