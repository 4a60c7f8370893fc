"""One sample group, or a user's cuts, as tables on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.table import Table

from intent.features import discretize
from intent.report.words import horizon, plural
from intent.samples.peek_words import ago
from intent.schema import HISTORY_ACTIONS, HISTORY_WINDOWS, SWIPE, Schema

NONE = "-"
WIDE = 110  # columns of a terminal that has room for everything
_SEGMENTS = {a: SWIPE.features[SWIPE.column(f"tap_{a}")].dictionary for a in ("x", "y")}
_ENDS = {"tap": ("tap",), "swipe": ("start", "end")}  # the actions that have a place
_ARROWS = ("-→←", "↑↗↖", "↓↘↙")  # by the ids of up_down and right_left


def show_cuts(cuts: Sequence[Mapping], user: str, schema: Schema, place: str) -> None:
    """Print a user's cuts (of `peek_words.describe_cut`), in order, and how to see one of them."""
    views = [v.name for v in schema.views]
    days = len({c["at"][:10] for c in cuts})
    title = f"{plural(len(cuts), 'cut')} of user {plain(user)} on {plural(days, 'day')}"
    table = lines(title)
    table.add_column("cut (UTC)", no_wrap=True)
    for task in schema.tasks:
        table.add_column(f"bought within {horizon(task.horizon_ms)}")
    for view in views:
        table.add_column(f"{view} actions", justify="right")
    before = cuts[0]["at"]
    for cut in cuts:
        if cut["at"][:10] != before[:10]:
            table.add_section()
        before = cut["at"]
        answers = [_yes(cut["labels"][t.name]) for t in schema.tasks]
        table.add_row(cut["at"], *answers, *[f"{cut['lengths'][v]:,}" for v in views])
    console = terminal()
    console.print(table)
    console.print(
        f"One of them: intent samples peek {place} --user {_quoted(user)} --at {cuts[-1]['at']}",
        soft_wrap=True,
    )


def show_group(group: Mapping, schema: Schema, note: str | None = None, whole: bool = True) -> None:
    """Print a group of `peek_words.describe_group`.

    Args:
        note: what is to be said about the cut.
        whole: whether to print what is not a view, too.
    """
    console = terminal()
    console.print(head(group, schema, note))
    if whole and "history" in group:
        console.print(_history(group["history"]))
    for view, actions in group["views"].items():
        length = group["lengths"][view]
        console.print(_actions(view, actions, length, schema, console.width))


def head(group: Mapping, schema: Schema, note: str | None) -> Table:
    """Whose group it is, when, what followed, and how much is known."""
    weekday = datetime.fromtimestamp(group["time"] / 1000, UTC).strftime("%A")
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("user", plain(group["user"]))
    table.add_row("cut", f"{group['at']}, a {weekday}" + (f"\n{note}" if note else ""))
    for task in schema.tasks:
        table.add_row(f"bought within {horizon(task.horizon_ms)}", _yes(group["labels"][task.name]))
    if "session_start" in group:
        table.add_row("windows begin", f"with the session, {group['session_start']}")
    sizes = [f"{n:,} {v}" for v, n in group["lengths"].items()]
    table.add_row("actions in windows", f"{', '.join(sizes)}; of at most {schema.length:,} each")
    if "profile" in group:
        levels = {n: p["level"] for n, p in group["profile"].items()}
        known = [f"{n} {level}" for n, level in levels.items() if level is not None]
        unknown = [n for n, level in levels.items() if level is None]
        words = known + ([f"unknown: {', '.join(unknown)}"] if known and unknown else [])
        table.add_row("profile", "; ".join(words) or "unknown")
    return table


def _history(counts: Mapping) -> Table:
    table = lines("How often before, up to the cut")
    table.add_column("")
    for _, days, _, _ in HISTORY_WINDOWS:
        table.add_column(plural(days, "day"), justify="right")
    for action in HISTORY_ACTIONS:
        names = [f"{action}_{window}" for window, *_ in HISTORY_WINDOWS]
        table.add_row(action, *[counts[n]["count"] for n in names])
    return table


def _actions(
    view: str, actions: Sequence[Mapping], length: int, schema: Schema, width: int
) -> Table:
    some = "all" if len(actions) == length else f"the last {len(actions):,} of"
    full = ", a full window" if length == schema.length else ""
    table = lines(f"{view}: {some} {length:,} actions{full}" if length else f"{view}: no action")
    columns = [c for c in _COLUMNS[view] if not c.wide or width >= WIDE] if actions else []
    for column in columns:
        table.add_column(column.heading, no_wrap=not column.name, overflow="fold")
    for action in actions:
        table.add_row(*[c.cell(action) or NONE for c in columns])
    if any(where(action) for action in actions if view == "swipe"):
        table.caption = (
            "where: % from the left, from the top; the middle of a segment of the screen"
        )
        table.caption_justify = "left"
    return table


def before(action: Mapping) -> str:
    """How long before the cut an action was."""
    return ago(action["before_ms"]) if action["before_ms"] else "at the cut"


def _word(feature: str) -> Callable[[Mapping], str]:
    return lambda action: plain(action["words"][feature] or "")


def where(action: Mapping) -> str:
    """Where a tap or swipe was: "62,38", "62,38 ↗ 91,14"."""
    ids = action["ids"]
    ends = _ENDS.get(action["words"]["action"], ())
    points = [f"{_middle(ids, f'{e}_x')},{_middle(ids, f'{e}_y')}" for e in ends]
    return f" {_ARROWS[ids['up_down']][ids['right_left']]} ".join(points)


def _middle(ids: Mapping, feature: str) -> str:
    low, high = discretize.segment(ids[feature], _SEGMENTS[feature[-1]])
    return f"{50 * (low + high):.0f}"


def moved(action: Mapping) -> str:
    """The way of a swipe: "up 24-28 %, left 0-6 %"."""
    ways = (("up_down", "length_y"), ("right_left", "length_x"))
    return ", ".join(action["words"][length] for way, length in ways if action["ids"][way])


@dataclass(frozen=True)
class _Column:
    """A column of a view's table.

    Attributes:
        cell: its text for an action, empty where there is none.
        name: whether it holds names, which may be long: they are folded.
        wide: whether it is left out where there is little room.
    """

    heading: str
    cell: Callable[[Mapping], str]
    name: bool = False
    wide: bool = False


_COLUMNS: Mapping[str, tuple[_Column, ...]] = {
    "swipe": (
        _Column("before", before),
        _Column("gap", _word("time_gap")),
        _Column("action", _word("action")),
        _Column("page", _word("page"), name=True),
        _Column("where", where),
        _Column("moved", moved, wide=True),
        _Column("took", _word("duration")),
    ),
    "tap": (
        _Column("before", before),
        _Column("event", _word("event")),
        _Column("page", _word("page"), name=True),
        _Column("button", _word("button"), name=True),
    ),
    "browse": (
        _Column("before", before),
        _Column("age", _word("age")),
        _Column("type", _word("type")),
        _Column("leaf category", _word("leaf_category"), name=True),
        _Column("top category", _word("top_category"), name=True),
        _Column("page", _word("page"), name=True),
        _Column("stay", _word("stay_time")),
    ),
}


def terminal() -> Console:
    """Names come from logs, so nothing in them is markup."""
    return Console(markup=False, emoji=False, highlight=False)


def lines(title: str) -> Table:
    """A table without a frame: there is more room for what it says."""
    return Table(
        title=f"\n{title}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )


def _yes(label: int) -> str:
    return "yes" if label else "no"


def plain(text: str) -> str:
    """What could move the cursor or colour the screen is replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _quoted(text: str) -> str:
    from shlex import quote

    return quote(plain(text))
