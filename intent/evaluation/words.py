"""Figures as words: how a result of `evaluate` is said to a reader."""

from __future__ import annotations

from intent.report.words import NOTHING, horizon, percent, points


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
    if result.get("recalibration"):
        advice = "even recalibrated, a score is no exact probability; fit it on days like these"
    else:
        advice = "recalibrate (intent calibrate) before reading a score as a probability"
    return f"{facts} {off}, more than chance explains ({points(error['by_chance'])}): {advice}."


def gain(result: dict, task: str) -> str:
    """The log loss of a task beside that of the base rate."""
    loss, base = (result[k][task]["value"] for k in ("log_loss", "log_loss_base_rate"))
    if not base:
        return NOTHING
    share = 1 - loss / base
    return f"{percent(abs(share))} {'below' if share >= 0 else 'above'} base"
