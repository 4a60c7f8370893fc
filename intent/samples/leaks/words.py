"""The leakage report in sentences."""

from __future__ import annotations

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
        return "Nothing alone gives the label away"
    return f"{' and '.join(told)} {'give' if entries + columns > 1 else 'gives'} the label away"


def verdict(facts: Mapping) -> list[str]:
    """What was found and what to do about it, the most important first."""
    once: dict[str, str] = {}
    for entry in facts["entries"]:
        if entry["gives_away"]:
            once.setdefault(entry["entry"], _entry(entry, "gives_away", facts))
    found = list(once.values())
    found += [_column(column) for column in facts["columns"] if column["gives_away"]]
    if len(found) > MOST_SENTENCES:
        more = len(found) - MOST_SENTENCES
        found = [*found[:MOST_SENTENCES], f"And {more:,} more; --json has all of them."]
    if facts["gives_away"]["entries"]:
        found.append(
            "Ask of each whether it is known when the score is wanted. If it is a part of the "
            f"purchase itself, hide it: samples.exclude={exclude(facts)}."
        )
    if not found:
        found.append(f"{headline(facts)}. {measure(facts)}")
    if near := facts["comes_close"]:
        first = next(e for e in facts["entries"] if e["entry"] == near[0])
        also = f" Also: {', '.join(near[1:MOST_NAMES])}" if near[1:] else ""
        also += f" and {len(near) - MOST_NAMES:,} more" if len(near) > MOST_NAMES else ""
        found.append(_entry(first, "comes_close", facts) + also + ("." if also else ""))
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
        f"An entry gives the label away if more than {percent(limit['rate'])} of its groups are "
        f"positive and the odds are more than {limit['odds']:g} times those of all groups, both at "
        f"the lower end of the 95 % interval; it comes close from {percent(limit['close_rate'])} "
        f"on. A feature gives it away if its AUC is above {limit['auc']:g} there. Of entries "
        f"with fewer than {limit['users']} users nothing is said."
    )


def _entry(entry: Mapping, how: str, facts: Mapping) -> str:
    task = max(entry[how], key=lambda t: entry["tasks"][t]["lift"])
    of, about = entry["tasks"][task], facts["tasks"][task]
    return (
        f"{entry['entry']} {HOW[how]}: {WHEN[entry['when']]}, {percent(of['rate'])} "
        f"({span(of['ci95'], percent)}) buy within {horizon(about['horizon_ms'])}; of all groups "
        f"{percent(about['rate'])} do. That is {number(of['lift'], 1)} times as many, in "
        f"{plural(entry['groups'], 'group')} of {plural(entry['users'], 'user')}: "
        f"{percent(of['of_positives'])} of all positive groups."
    )


def _column(column: Mapping) -> str:
    task = column["gives_away"][0]
    of = column["tasks"][task]
    return (
        f"{column['column']} alone ranks the groups with an AUC of {number(of['auc'])} "
        f"({span(of['ci95'])}) for {task}: too well for one feature. Look at where it comes from."
    )


def _quoted(entry: str) -> str:
    """An item of a YAML list; in quotes where it would not be read as it stands."""
    plain = all(c.isalnum() or c in "._=-" for c in entry)
    return entry if plain else "'" + entry.replace("'", "''") + "'"
