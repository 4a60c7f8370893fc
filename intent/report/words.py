"""Numbers as words, the same on every page."""

from __future__ import annotations

from intent.schema import DAY_MS, HOUR_MS

NOTHING = "–"
PERCENT = "\N{NO-BREAK SPACE}%"


def horizon(milliseconds: int) -> str:
    """3_600_000 -> "1 hour"."""
    for unit, name in ((DAY_MS, "day"), (HOUR_MS, "hour"), (60_000, "minute"), (1000, "second")):
        if milliseconds >= unit:
            count = milliseconds / unit
            return f"{count:g} {name}{'' if count == 1 else 's'}"
    return f"{milliseconds} ms"


def number(value: float | None, digits: int = 3) -> str:
    """0.81234 -> "0.812"; a dash for what could not be computed."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """0.0523 -> "5.2 %"; two digits below one percent."""
    if value is None:
        return NOTHING
    return f"{100 * value:.{2 if 0 < abs(value) < 0.00995 else 1}f}{PERCENT}"


def span(ci95: list[float] | None, form=number) -> str:
    """[0.79, 0.83] -> "0.790–0.830", or "5.1–6.6 %"; "no interval" for None."""
    if ci95 is None:
        return "no interval"
    low, high = (form(end) for end in ci95)
    return f"{low.removesuffix(PERCENT)}–{high}"


def plural(count: int, noun: str) -> str:
    """3, "user" -> "3 users"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def minutes(seconds: float) -> str:
    """90 -> "1.5 minutes"; "1 h 5 min" from an hour on."""
    if seconds < 3600:
        return f"{seconds / 60:.1f} minutes"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest} min"


def points(value: float) -> str:
    """0.0082 -> "0.82 percentage points"."""
    return percent(value).replace(PERCENT, " percentage points")
