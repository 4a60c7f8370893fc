"""Observation ends with the last event, and a wrong clock moves neither end."""

from __future__ import annotations

from intent.features.span import Span, observed_span
from intent.schema import DAY_MS


def test_the_span_ends_with_the_last_event_of_the_last_busy_day():
    noon = 12 * DAY_MS + DAY_MS // 2
    assert observed_span({10: 500, 11: 600, 12: 90}, {12: noon}) == Span(10 * DAY_MS, noon + 1)


def test_days_with_hardly_any_traffic_do_not_stretch_it():
    days = {3: 1, 10: 500, 11: 600, 12: 6, 4000: 2}
    span = observed_span(days, {day: day * DAY_MS + 5 for day in days})
    assert span == Span(10 * DAY_MS, 12 * DAY_MS + 6)
    assert observed_span(days | {3: 7}, {12: 0, 3: 1}).start == 3 * DAY_MS  # 1 % counts
