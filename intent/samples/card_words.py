"""What stands out in a dataset, in sentences: what one would wish to know before training on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from intent.report.words import horizon, percent, plural
from intent.samples.manifest import Manifest

MUCH_UNKNOWN = 0.05  # of what actions name
MUCH_LOST = 0.01  # of a table's rows
MUCH_AT_TOP = 0.25  # of groups whose history count is "or more"
OFTEN = 0.25  # of groups
ENOUGH = 30  # positives, below which no rate is compared
FAR = 1.5  # times the rate of all groups


def headline(facts: Mapping, manifest: Manifest) -> str:
    """The dataset in one line."""
    task, ms = next(iter(facts["tasks"].items()))
    rate = percent(manifest.label_rate(task))
    return (
        f"{plural(facts['groups'], 'sample group')} of {plural(facts['users'], 'user')} over "
        f"{plural(len(facts['days']), 'day')}; {rate} are followed by a purchase within "
        f"{horizon(ms)}"
    )


def stands_out(facts: Mapping, manifest: Manifest) -> list[str]:
    """Sentences, the most important first; none where nothing does."""
    parts = (_hidden, _labels, _rows, _unknown, _empty, _history, _profile, _full, _users)
    return [sentence for part in parts for sentence in part(facts, manifest)]


def duration(ms: float) -> str:
    """1300 -> "1.3 s", in the unit that suits."""
    for unit, name in ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if ms >= unit:
            return f"{ms / unit:.2g} {name}"
    return f"{ms:.2g} ms"


def _hidden(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    if hidden := manifest.settings.get("exclude"):
        yield f"Windows do not show {', '.join(hidden)} (samples.exclude); labels and history do."


def _labels(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    if manifest.negative_rate < 1:
        yield (
            f"Only {percent(manifest.negative_rate)} of the groups without a purchase were kept "
            "(samples.negative_rate), so label rates here are higher than in the logs."
        )
    for task, ms in facts["tasks"].items():
        positive = sum(day["positives"][task] for day in facts["days"])
        within = f"a purchase within {horizon(ms)}"
        if positive < ENOUGH:
            yield f"Only {plural(positive, 'group')} of {facts['groups']:,} see {within}: too few."
            continue
        rate = positive / facts["groups"]
        hours = [h for h in facts["hours"] if h["groups"] * rate >= ENOUGH]
        if len(hours) > 1:
            low, high = (
                f(hours, key=lambda h: h["positives"][task] / h["groups"]) for f in (min, max)
            )
            yield (
                f"{within[0].upper()}{within[1:]} follows most often at {high['name']:02d}:00 UTC "
                f"({_rate(high, task)}), least at {low['name']:02d}:00 ({_rate(low, task)})."
            )
        for day in facts["days"]:
            expected = rate * day["groups"]
            there = day["positives"][task]
            if expected >= ENOUGH and not expected / FAR <= there <= expected * FAR:
                yield (
                    f"{day['name']} is unlike the other days: {within} follows "
                    f"{_rate(day, task)} of its groups, and {percent(rate)} of all."
                )


def _rate(part: Mapping, task: str) -> str:
    return percent(part["positives"][task] / max(part["groups"], 1))


def _rows(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    for table, total in manifest.rows_in.items():
        for kind, counts in (("unusable", manifest.quarantined), ("left out", manifest.dropped)):
            mine = {k.split("/", 1)[1]: n for k, n in counts.items() if k.startswith(f"{table}/")}
            lost = sum(mine.values())
            if total and lost > MUCH_LOST * total:
                why, most = max(mine.items(), key=lambda item: item[1])
                yield (
                    f"{percent(lost / total)} of the rows of {table} are {kind}, most for "
                    f"{why} ({most:,})."
                )


def _unknown(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    for row in facts["names"]:
        what = f"{row['view']} {row['feature']}"
        if row["named"] and row["unknown"] > MUCH_UNKNOWN * row["named"]:
            share = percent(row["unknown"] / row["named"])
            full = "full" if row["names"] >= row["room"] else f"with {plural(row['names'], 'name')}"
            yield f"{share} of what actions name as {what} is unknown; its dictionary is {full}."
    for view in facts["views"]:
        never = [f["feature"] for f in view["features"] if f["none"] == view["actions"]]
        if never and view["actions"]:
            yield f"No {view['name']} action has a value of {', '.join(never)}."


def _empty(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    for view in facts["views"]:
        if view["lengths"][0] > 0.01 * facts["groups"]:
            share = percent(view["lengths"][0] / facts["groups"])
            yield f"{share} of the groups have no {view['name']} action at all."


def _full(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    length = manifest.schema.length
    for view in facts["views"]:
        share = view["lengths"][-1] / max(facts["groups"], 1)
        if share > OFTEN:
            yield (
                f"{percent(share)} of the {view['name']} windows are full: a longer one than "
                f"{length} would show more."
            )


def _history(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    rows, groups = facts["history"], max(facts["groups"], 1)
    if rows and not any(row["some"] for row in rows):
        yield "No group has any history count: give a history table, or more days of browse logs."
    top = [row for row in rows if row["top"] > MUCH_AT_TOP * groups]
    if top:
        names = ", ".join(
            f"{row['action']}_{row['window']} ({percent(row['top'] / groups)})" for row in top
        )
        yield (
            "Many groups are at the highest level of a history count, which says only "
            f'"or more": {names}.'
        )


def _profile(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    missing = [r["feature"] for r in facts["profile"] if r["none"] > 0.5 * facts["groups"]]
    if missing:
        yield f"Most groups have no {', '.join(missing)}: the profile lacks it."


def _users(facts: Mapping, manifest: Manifest) -> Iterator[str]:
    per_user = facts["groups_per_user"]
    if per_user["most"] > 10 * max(per_user["median"], 1):
        yield (
            f"The most active user has {per_user['most']:,.0f} groups, the median user "
            f"{per_user['median']:,.0f}."
        )
