"""Figures as words: how a result of `evaluate` is said to a reader."""

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


def headline(result: dict, simulated: bool) -> str:
    """What was found, in one line, from the first task."""
    task, milliseconds = next(iter(result["tasks"].items()))
    auc, within = result[f"auc_{task}"], horizon(milliseconds)
    if auc["value"] is None:
        found = f"nothing to rank: all groups have a purchase within {within}, or none has"
    elif auc["value"] == 0.5 or (auc["ci95"] and auc["ci95"][0] <= 0.5 <= auc["ci95"][1]):
        found = f"the model is no better than chance at telling who buys within {within}"
    elif auc["value"] < 0.5:
        found = f"the model is worse than chance at telling who buys within {within}"
    else:
        often = times(auc["value"])
        found = f"a user who buys within {within} outscores one who does not {often}"
    return f"In the simulated shop, {found}" if simulated else found[0].upper() + found[1:]


def times(auc: float) -> str:
    """0.812 -> "81 times in 100"; finer where it would round to 100."""
    if auc >= 0.995:
        return f"{1000 * auc:.0f} times in 1,000"
    return f"{100 * auc:.0f} times in 100"


def trust(result: dict, task: str) -> str:
    """Whether the scores of a task can be read as probabilities."""
    within = horizon(result["tasks"][task])
    error = result["calibration_error"][task]
    mean, base = result["mean_score"][task]["value"], result["base_rate"][task]["value"]
    facts = f"On average the model says {percent(mean)}, and {percent(base)} buy within {within}."
    if error["by_chance"] is None:
        return f"{facts} With so few users nothing more can be said about its probabilities."
    if base in (0, 1):
        return facts
    off = f"Its probabilities are off by {points(error['value'])} on average"
    if error["value"] <= 2 * error["by_chance"]:
        return (
            f"{facts} {off}, about what chance alone would show with so many users "
            f"({points(error['by_chance'])}): no miscalibration is seen."
        )
    return (
        f"{facts} {off}, more than chance explains ({points(error['by_chance'])}): recalibrate "
        "before reading a score as a probability."
    )


def points(value: float) -> str:
    """0.0082 -> "0.82 percentage points"."""
    return percent(value).replace(PERCENT, " percentage points")


def gain(result: dict, task: str) -> str:
    """The log loss of a task beside that of the base rate."""
    loss, base = (result[k][task]["value"] for k in ("log_loss", "log_loss_base_rate"))
    if not base:
        return NOTHING
    share = 1 - loss / base
    return f"{percent(abs(share))} {'below' if share >= 0 else 'above'} base"
