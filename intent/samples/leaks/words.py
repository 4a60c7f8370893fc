"""The leakage report in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from intent.report.words import horizon, number, percent, plural, span

MOST_SENTENCES, MOST_NAMES = 20, 8
HOW = {"gives_away": "gives it away", "comes_close": "comes close"}
WHEN = {"last": "as the last action of its view", "cut": "at that very action"}


def headline(facts: Mapping) -> str:
    """The report in one line."""
    entries, columns = (len(facts["gives_away"][kind]) for kind in ("entries", "columns"))
    told = [f"{entries:,} {'entry' if entries == 1 else 'entries'}"] if entries else []
    told += [plural(columns, "feature")] if columns else []
    if not told:
        return "Nothing alone gives the purchase away"
    return f"{' and '.join(told)} {'give' if entries + columns > 1 else 'gives'} the purchase away"


def verdict(facts: Mapping) -> list[str]:
    """What was found and what to do about it, the most important first."""
    once: dict[str, str] = {}
    for entry in facts["entries"]:
        if entry["gives_away"]:
            once.setdefault(entry["entry"], _entry(entry, "gives_away", facts))
    found = list(once.values())
    found += [_column(column, facts) for column in facts["columns"] if column["gives_away"]]
    if len(found) > MOST_SENTENCES:
        more = len(found) - MOST_SENTENCES
        found = [*found[:MOST_SENTENCES], f"And {more:,} more; --json has all of them."]
    if facts["gives_away"]["entries"]:
        found.append(
            "Ask of each whether it is known when the score is wanted. If it is a part of the "
            "purchase itself, hide it when you build the samples: intent samples ... --set "
            f"{shlex.quote('samples.exclude=' + exclude(facts))}"
        )
    nothing = not found
    if near := facts["comes_close"]:
        first = next(e for e in facts["entries"] if e["entry"] == near[0])
        also = f" Also: {', '.join(near[1:MOST_NAMES])}" if near[1:] else ""
        also += f" and {len(near) - MOST_NAMES:,} more" if len(near) > MOST_NAMES else ""
        found.append(_entry(first, "comes_close", facts) + also + ("." if also else ""))
        found.append(
            "What comes close may be honest: who is about to pay, pays. If it is a part of the "
            "purchase itself, samples.exclude hides it."
        )
    if nothing:
        found.append(measure(facts))
    if facts["excluded"]:
        found.append(f"Hidden already (samples.exclude): {', '.join(facts['excluded'])}.")
    if facts["by_lot"] is not None:
        found.insert(0, "Control: these labels were drawn by lot, so nothing may stand out.")
    return found


def exclude(facts: Mapping) -> str:
    """All that gives away, and what is hidden already, as YAML takes it."""
    every = [*facts["excluded"], *facts["gives_away"]["entries"]]
    return f"[{', '.join(_quoted(entry) for entry in every)}]"


def measure(facts: Mapping) -> str:
    """The thresholds, in words."""
    limit = facts["thresholds"]
    return (
        "An entry (a page, a button, a category, a kind of action) gives the purchase away if more "
        f"than {round(100 * limit['rate'])} % of its groups buy, and the odds are more than "
        f"{limit['odds']:g} times those of all groups, both at the lower end of the 95 % interval; "
        f"it comes close from {round(100 * limit['close_rate'])} % on. A feature gives it away if "
        f"its AUC is above {limit['auc']:g} there. Of entries with fewer than {limit['users']} "
        "users nothing is said."
    )


def tenth(value: float) -> str:
    """13.04 -> "13.0"."""
    return number(value, 1)


def _entry(entry: Mapping, how: str, facts: Mapping) -> str:
    task = max(entry[how], key=lambda t: entry["tasks"][t]["lift"])
    of, about = entry["tasks"][task], facts["tasks"][task]
    return (
        f"{entry['entry']} {HOW[how]}: {WHEN[entry['when']]}, {percent(of['rate'])} "
        f"({span(of['ci95'], percent)}) buy within {horizon(about['horizon_ms'])}; of all groups "
        f"{percent(about['rate'])} do. That is {number(of['lift'], 1)} times as many, in "
        f"{plural(entry['groups'], 'group')} of {plural(entry['users'], 'user')}: "
        f"{percent(of['of_positives'])} of all groups that buy."
    )


def _column(column: Mapping, facts: Mapping) -> str:
    task = column["gives_away"][0]
    of, horizon_ms = column["tasks"][task], facts["tasks"][task]["horizon_ms"]
    return (
        f"{column['column']} alone ranks the groups with an AUC of {number(of['auc'])} "
        f"({span(of['ci95'])}) for purchases within {horizon(horizon_ms)}: too well for one "
        "feature. Look at where it comes from."
    )


def _quoted(entry: str) -> str:
    """An item of a YAML list; in quotes where it would not be read as it stands."""
    plain = all(c.isalnum() or c in "._=-" for c in entry)
    return entry if plain else "'" + entry.replace("'", "''") + "'"
