"""The observed time: the days that logs cover, whatever a few wrong clocks say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from intent.schema import DAY_MS

LEAST_SHARE = 0.01  # of the busiest day's events that a day must have to count


@dataclass(frozen=True)
class Span:
    """The observed time, [start, end) in epoch ms."""

    start: int
    end: int


def observed_span(days: Mapping[int, int], last: Mapping[int, int]) -> Span:
    """From the first day with real traffic to the last event of the last such day.

    The logs of a day that is not over yet end in the middle of it: what came after is unknown, and
    a label that needs it must not be guessed.

    A day counts if it has at least LEAST_SHARE of the busiest day's events, so a few rows with a
    wrong clock do not stretch the span by years. The sample job and the device use this same rule.

    Args:
        days: events by day (days since 1970); at least one day.
        last: the latest event of each day, epoch ms.
    """
    least = LEAST_SHARE * max(days.values())
    busy = [day for day, events in days.items() if events >= least]
    return Span(min(busy) * DAY_MS, last[max(busy)] + 1)
