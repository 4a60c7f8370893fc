"""Numbers as words."""

from __future__ import annotations

from intent.report import words as say


def test_words():
    assert [say.horizon(ms) for ms in (3_600_000, 172_800_000, 90_000)] == [
        "1 hour",
        "2 days",
        "1.5 minutes",
    ]
    assert say.percent(0.0523).replace(say.PERCENT, "%") == "5.2%"
    assert say.percent(0.0012).replace(say.PERCENT, "%") == "0.12%"
    assert say.span([0.051, 0.066], say.percent).replace(say.PERCENT, "%") == "5.1–6.6%"
    assert say.number(None) == say.NOTHING and say.span(None) == "no interval"
    assert say.plural(1, "user") == "1 user" and say.plural(2000, "user") == "2,000 users"
    assert say.points(0.0082) == "0.82 percentage points"
