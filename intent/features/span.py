"""The observed time: the days that logs cover, whatever a few wrong clocks say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from intent.schema import DAY_MS

LEAST_SHARE = 0.01  # of the busiest day's events that a day must have to count
YEAR_2000 = 10_957  # days since 1970; an event before it comes from a clock that was never set
ENOUGH = 200  # events of a table's busiest day, below which one or two rows would be a busy day


@dataclass(frozen=True)
class Span:
    """The observed time, [start, end) in epoch ms."""

    start: int
    end: int


def observed_spans(
    days: Mapping[str, Mapping[int, int]], last: Mapping[str, Mapping[int, int]]
) -> dict[str, Span]:
    """The observed time of each table: from its first busy day to the last event of its last one.

    The logs of a day that is not over yet end in the middle of it: what came after is unknown, and
    a label that needs it must not be guessed.

    A day is busy if it has at least LEAST_SHARE of the busiest day's events, so a few rows with a
    wrong clock do not stretch the time by years. Each table is judged by its own traffic, so that
    one that logs much does not hide the days of another; but where a table has so few rows that one
    could make a busy day, its days are those within the busy days of all tables together. The
    sample job and the device use this same rule.

    Args:
        days: table -> events by day (days since 1970); tables without any are left out.
        last: table -> the latest event of each day, epoch ms.
    """
    total: Counter = Counter()
    for counts in days.values():
        total.update(counts)
    of_all = _busy(total)
    found = {}
    for table, counts in days.items():
        if not counts:
            continue
        own = _busy(counts)
        if max(counts.values()) < ENOUGH:
            own = [day for day in counts if min(of_all) <= day <= max(of_all)] or own
        found[table] = Span(min(own) * DAY_MS, last[table][max(own)] + 1)
    return found


def together(spans: Mapping[str, Span]) -> Span:
    """From the earliest begin to the latest end; of at least one."""
    return Span(min(s.start for s in spans.values()), max(s.end for s in spans.values()))


def _busy(counts: Mapping[int, int]) -> list[int]:
    least = LEAST_SHARE * max(counts.values(), default=0)
    busy = [day for day, events in counts.items() if events >= least]
    return [day for day in busy if day >= YEAR_2000] or busy
