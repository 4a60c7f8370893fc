"""What gain, slices, drift, recalibrations and comparisons say, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from intent.evaluation.drift import ALIKE, MOVED
from intent.report.words import horizon, number, percent, plural, points, span

KINDS = {
    "past": "New and old users (new: all history counts are 0)",
    "actions": "Length of history: actions in the windows",
    "hour": "Hour of the day (UTC)",
    "phone_price": "Price of the phone",
}
OTHERS = {"pr_auc": "PR-AUC", "log_loss": "log loss"}
OF = {"pr_auc": "looks at the best-scored more", "log_loss": "also judges the probabilities"}
IN_TEXT = {"past": "{}", "actions": "{} actions", "hour": "{} UTC", "phone_price": "phone price {}"}


def gained(result: Mapping, task: str, share: float = 0.05) -> str:
    """How many of the buyers the best-scored few per cent hold."""
    row = next(row for row in result["gain"][task]["at"] if row["share"] == share)
    within = horizon(result["tasks"][task])
    if row["found"]["value"] is None:
        return f"Nobody buys within {within}: there is nobody to find."
    lift = row["lift"]
    text = (
        f"The best-scored {percent_of(share)} of the groups hold {percent(row['found']['value'])} "
        f"of all that are followed by a purchase within {within} "
        f"({span(row['found']['ci95'], percent)}), {number(lift['value'], 1)} times as many as "
        f"{percent_of(share)} drawn by lot ({span(lift['ci95'], tenth)})"
    )
    ends = lift["ci95"]
    if ends and ends[0] <= 1 <= ends[1]:
        return f"{text}: no more than luck would find."
    return f"{text}."


def sliced(result: Mapping, task: str) -> str:
    """Where the model is told apart from its average, and where nothing can be said."""
    whole = result[f"auc_{task}"]["value"]
    within = horizon(result["tasks"][task])
    if whole is None:
        return f"Within {within} there is nothing to rank, in no slice."
    rows = result["slices"]["rows"]
    weak, strong, unknown = [], [], 0
    for row in rows:
        ci95 = row["auc"][task]["ci95"]
        if ci95 is None:
            unknown += 1
        elif ci95[1] < whole:
            weak.append(row)
        elif ci95[0] > whole:
            strong.append(row)
    parts = []
    for some, how in ((weak, "worse"), (strong, "better")):
        if some:
            parts.append(f"{how} than the {number(whole)} of all for {_named(some, task)}")
    known = len(rows) - unknown
    found = " and ".join(parts) or f"in no slice told apart from the {number(whole)} of all"
    text = f"Within {within}, the AUC is {found}."
    if parts:
        text += f" Of {known} slices about {max(round(known / 20), 1)} would stand out by luck."
    if unknown:
        text += f" {plural(unknown, 'slice')} {_has(unknown)} too few users or buyers to say."
    return text


def drifted(result: Mapping, task: str) -> list[str]:
    """A sentence a day on how far its scores are from the reference's."""
    found = result["drift"]
    if found["reference"] is None:
        return ["Only one day was scored, so nothing can be said about drift."]
    what = "a day of the training" if found["trained"] else "the first day evaluated"
    lines = []
    for row in found["days"]:
        if row["drift"] is None:
            continue
        value, chance = (row["drift"][task]["psi"][key] for key in ("value", "by_chance"))
        lines.append(
            f"{row['day']} beside {found['reference']}, {what}: PSI {number(value)}, "
            f"{moved(value, chance, found['trained'])}."
        )
    return lines


def moved(psi: float, chance: float | None, learnt: bool = False) -> str:
    """A PSI in words; `learnt` where the reference is a day that the model has learnt from."""
    heart = "a model that knows the training day by heart and is surer there, " if learnt else ""
    if chance is None:
        return "of too few users to say whether that is more than chance"
    if psi <= chance:
        return f"no more than chance would show with these users (up to {number(chance)})"
    if psi < ALIKE:
        return f"more than chance ({number(chance)}), but little (customary limit {ALIKE:g})"
    if psi < MOVED:
        why = " (the model may know the training day by heart)" if learnt else ""
        return f"more than chance ({number(chance)}): the scores have moved{why}; watch them"
    return (
        f"far more than chance ({number(chance)}): look for {heart}a sale, a changed app or a "
        "broken log before scores are read as probabilities, and calibrate anew"
    )


def recalibrated(about: Mapping, task: str) -> str:
    """What a recalibration did to the probabilities of `task` on the held-out days, without naming
    it."""
    change = about["held_out"][task]["calibration_error"]
    before, after = (points(change[key]["value"]) for key in ("before", "after"))
    text = f"probabilities were off by {before} on average, and are off by {after} now"
    ends = change["difference"]["ci95"]
    if ends is None:
        return f"{text}; with so few users nothing more can be said."
    text += f" (change {change['difference']['value'] * 100:+.2f}, {ends[0] * 100:+.2f} to "
    text += f"{ends[1] * 100:+.2f})"
    if ends[1] < 0:
        return f"{text}: better."
    if ends[0] > 0:
        return (
            f"{text}: worse. Take it away with intent calibrate --method none, or fit it on other "
            "days."
        )
    return f"{text}: the two are not told apart."


def compared(result: Mapping) -> Iterator[str]:
    """What `compare` found, in plain words."""
    if result["identical"]:
        yield "Both give every group the same score: it is the same model."
        return
    for task, figures in result["tasks"].items():
        auc = figures["auc"]
        ends, value = auc["difference"]["ci95"], auc["difference"]["value"]
        if ends is None:
            yield f"{task}: not told apart; there are too few users or buyers for an interval."
            continue
        size = f"A minus B {value:+.4f} (95 % interval {ends[0]:+.4f} to {ends[1]:+.4f})"
        if auc["verdict"] == "not told apart":
            wide = max(abs(ends[0]), abs(ends[1]))
            yield (
                f"{task}: not told apart by AUC, {size}. If they differ, then by less than "
                f"{wide:.4f}."
            )
        else:
            yield f"{task}: {auc['verdict']} by AUC, {size}."
        for figure, name in OTHERS.items():
            if (said := figures[figure]["verdict"]) not in ("not told apart", auc["verdict"]):
                yield f"{task}: but {said} by {name}, which {OF[figure]}."
    yield (
        f"Of log loss less is better. Intervals speak of other users "
        f"({plural(result['users'], 'user')} drawn anew, {result['resamples']:,} times, for both "
        "alike), not of other days or training seeds."
    )


def findings(result: Mapping) -> Iterator[str]:
    """The lines that `intent evaluate` prints below its table."""
    for task in result["tasks"]:
        yield gained(result, task)
        yield sliced(result, task)
    for task in list(result["tasks"])[:1]:
        yield from (f"Scores, {task}: {line}" for line in drifted(result, task))


def signed(figure: Mapping) -> str:
    """A difference with its sign and its interval."""
    if figure["value"] is None:
        return "none"
    ends = figure["ci95"]
    within = f" [{ends[0]:+.4f}, {ends[1]:+.4f}]" if ends else ""
    return f"{figure['value']:+.4f}{within}"


def percent_of(share: float) -> str:
    """0.05 -> "5 %"."""
    return percent(share).replace(".0", "")


def tenth(value: float) -> str:
    """6.234 -> "6.2"."""
    return number(value, 1)


def _named(rows: list[dict], task: str) -> str:
    return ", ".join(
        f"{IN_TEXT[row['kind']].format(row['value'])} ({number(row['auc'][task]['value'])})"
        for row in rows
    )


def _has(count: int) -> str:
    return "has" if count == 1 else "have"
