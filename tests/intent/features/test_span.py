"""The observed days are read off the traffic of each table, not off a few wrong clocks."""

from __future__ import annotations

from intent.features.span import Span, observed_spans, together
from intent.schema import DAY_MS


def span(days: dict, last: dict) -> Span:
    return observed_spans({"browse": days}, {"browse": last})["browse"]


def test_it_ends_with_the_last_event_of_the_last_busy_day():
    noon = 12 * DAY_MS + DAY_MS // 2
    assert span({10: 500, 11: 600, 12: 90}, {12: noon}) == Span(10 * DAY_MS, noon + 1)


def test_days_with_hardly_any_events_do_not_count():
    days = {3: 1, 10: 500, 11: 700, 99: 4}
    found = span(days, {day: day * DAY_MS + 5 for day in days})
    assert found == Span(10 * DAY_MS, 11 * DAY_MS + 6)
    assert span(days | {3: 7}, {11: 0, 3: 1}).start == 3 * DAY_MS  # 1 % counts


def test_each_table_has_its_own_days_and_all_together_have_all():
    touch = {day: 50_000 for day in (10, 11, 12)}
    browse = {day: 300 for day in (4, 5, 6, 7, 8, 9, 10, 11)}  # less than 1 % of all
    last = {name: {d: d * DAY_MS for d in days} for name, days in
            (("touch", touch), ("browse", browse))}  # fmt: skip
    found = observed_spans({"touch": touch, "browse": browse}, last)
    assert found["browse"] == Span(4 * DAY_MS, 11 * DAY_MS + 1)
    assert found["touch"] == Span(10 * DAY_MS, 12 * DAY_MS + 1)
    assert together(found) == Span(4 * DAY_MS, 12 * DAY_MS + 1)


def test_clocks_that_were_never_set_do_not_count_however_many():
    days = {0: 400, 20_000: 500, 20_001: 300}
    assert span(days, {20_001: 7}) == Span(20_000 * DAY_MS, 8)
    assert span({0: 400, 1: 300}, {1: 7}).start == 0  # unless there is nothing else


def test_one_stray_row_of_a_small_table_is_no_busy_day():
    touch, browse = {10: 900, 11: 900}, {2: 1, 10: 30, 11: 25}
    last = {name: {d: d * DAY_MS for d in (2, 10, 11)} for name in ("touch", "browse")}
    found = observed_spans({"touch": touch, "browse": browse, "tap": {}}, last)
    assert found["browse"].start == 10 * DAY_MS and "tap" not in found
    alone = observed_spans({"browse": {2: 300, 10: 300}}, last)["browse"]
    assert alone.start == 2 * DAY_MS  # where there are many, it is one
