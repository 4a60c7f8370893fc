"""The facts of the leakage report: one pass over a dataset, a row group held at a time.

K buckets of users, L levels, n entries, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from intent.features.vocabulary import Dictionaries
from intent.progress import progress
from intent.samples import manifest as manifests
from intent.samples.card import Groups
from intent.samples.exclusion import KINDS
from intent.samples.leaks import figures
from intent.samples.leaks.columns import Column
from intent.samples.leaks.counts import Counts
from intent.samples.manifest import Manifest
from intent.samples.plan import generator
from intent.samples.scan import read_parts
from intent.schema import Schema

# An entry gives a label away if, at the lower end of the interval, more than GIVES_AWAY_RATE of its
# groups are positive and the odds are more than GIVES_AWAY_ODDS times those of all groups. It comes
# close if the same holds of CLOSE_RATE.
GIVES_AWAY_RATE = 0.8
CLOSE_RATE = 0.5
GIVES_AWAY_ODDS = 10.0
# A column gives it away if the lower end of its AUC's interval is above this.
GIVES_AWAY_AUC = 0.9
FEWEST_USERS = 10  # of an entry, below which nothing is said of it


def collect(root: str, manifest: Manifest, by_lot: int | None = None) -> dict:
    """Read the dataset at `root` and return what alone foretells its labels.

    Args:
        by_lot: control: labels are drawn by lot, with this seed, at each task's base rate, so
            that nothing may be found.

    Returns: "groups", "users", "negative_rate", "excluded" (samples.exclude), "by_lot",
        tasks: name -> {"horizon_ms", "positives", "rate"}, the rate among all groups;
        thresholds: "rate", "close_rate", "odds", "auc", "users";
        entries: those of enough users, what gives away first, then what comes close, then by lift:
            {"entry" (as samples.exclude takes it), "when" ("last" action of its view, or action at
            the "cut"), "groups", "users", "gives_away", "comes_close" (tasks), "tasks": name ->
            {"positives", "rate", "ci95", "lift", "lift_ci95", "odds_ratio", "of_positives"}};
        rare: how many such rows have fewer users;
        columns: by AUC: {"column", "levels", "gives_away", "tasks": name -> {"auc", "ci95"}};
        gives_away: {"entries": [...], "columns": [...]}; comes_close: entries that do not.

    Raises:
        IntentError: the dataset cannot be read.
    """
    root, schema = str(root), manifest.schema
    dictionaries = manifests.load_dictionaries(root, manifest)
    counts, users = Counts(schema), Groups()
    with progress("reading", total=max(manifest.groups, 1), unit="groups") as bar:
        for number, shard in enumerate(manifest.shards):
            for place, part in enumerate(read_parts(root, manifest, shard)):
                unit = part.unit
                lot = None
                if by_lot is not None:
                    lot = _lot(manifest, unit.groups, by_lot, number, place)
                counts.add(unit, lot)
                users.add(part.users, part.cuts)
                bar.advance(unit.groups)
    facts = summary(counts, schema, dictionaries, manifest.negative_rate)
    return {
        "users": len(users.total()),
        "excluded": manifest.settings.get("exclude", []),
        "by_lot": by_lot,
        **facts,
    }


def summary(
    counts: Counts, schema: Schema, dictionaries: Dictionaries, negative_rate: float = 1.0
) -> dict:
    """What `collect` returns, but for what the manifest says."""
    longest = int(np.argmax([t.horizon_ms for t in schema.tasks]))
    # Horizons are nested, so a negative of the longest is one of all; each stands for 1 / rate.
    bought = counts.positives[longest]
    groups = bought + (counts.groups - bought) / negative_rate
    hours = counts.slices["cut.hour"]  # every group has one
    total = groups[:, hours].sum()
    positives = counts.positives[:, :, hours].sum(axis=(1, 2))
    tasks = {
        t.name: {
            "horizon_ms": t.horizon_ms,
            "positives": int(n),
            "rate": float(n / total) if total else 0.0,
        }
        for t, n in zip(schema.tasks, positives, strict=True)
    }
    entries, rare = _entries(counts, groups, tasks, _names(dictionaries))
    alone = [column for column in counts.columns if column.when == "last"]
    columns = [_column(counts, groups, column, tasks) for column in alone]
    columns.sort(key=lambda c: -max(t["auc"] or 0 for t in c["tasks"].values()))
    sure, near = (
        list(dict.fromkeys(e["entry"] for e in entries if e[how]))
        for how in ("gives_away", "comes_close")
    )
    return {
        "groups": int(counts.groups[:, hours].sum()),
        "negative_rate": negative_rate,
        "tasks": tasks,
        "thresholds": {
            "rate": GIVES_AWAY_RATE,
            "close_rate": CLOSE_RATE,
            "odds": GIVES_AWAY_ODDS,
            "auc": GIVES_AWAY_AUC,
            "users": FEWEST_USERS,
        },
        "entries": entries,
        "rare": rare,
        "columns": columns,
        "gives_away": {
            "entries": sure,
            "columns": [c["column"] for c in columns if c["gives_away"]],
        },
        "comes_close": [entry for entry in near if entry not in sure],
    }


def _names(dictionaries: Dictionaries) -> Callable[[Column, int], str | None]:
    """The name of an id of a column, as `samples.exclude` takes it."""

    def name(column: Column, id_: int) -> str | None:
        if column.feature.unknown:
            vocabulary = dictionaries[column.key]
            return vocabulary.name(id_) if id_ < len(vocabulary.names) + 2 else None
        known = KINDS[column.feature.name]
        return known[id_ - 1] if 0 < id_ <= len(known) else None

    return name


def _entries(
    counts: Counts, groups: np.ndarray, tasks: Mapping, name: Callable
) -> tuple[list[dict], int]:
    """The entries of enough users, and the number of the others."""
    level, column = [], []
    for of in counts.columns:
        if of.feature is not None:
            first = counts.slices[of.name].start
            seen = counts.groups[:, counts.slices[of.name]].any(axis=0)
            found = [x for x in np.flatnonzero(seen).tolist() if name(of, x - 1) is not None]
            level += [first + x for x in found]
            column += [(of, x - 1) for x in found]
    level = np.array(level, np.int64)
    users = counts.users(level)
    enough = users >= FEWEST_USERS
    level, users, rare = level[enough], users[enough], int((~enough).sum())
    column = [c for c, kept in zip(column, enough, strict=True) if kept]
    counted, weight = counts.groups[:, level].sum(axis=0), groups[:, level]
    found = [
        {
            "entry": f"{of.key}={name(of, id_)}",
            "when": of.when,
            "groups": int(n),
            "users": int(u),
            "gives_away": [],
            "comes_close": [],
            "tasks": {},
        }
        for (of, id_), n, u in zip(column, counted, users, strict=True)
    ]
    for (task, about), positives in zip(tasks.items(), counts.positives[:, :, level], strict=True):
        rate, low, high = figures.rates(weight, positives, counted)
        base, total = about["rate"], max(about["positives"], 1)
        for i, entry in enumerate(found):
            entry["tasks"][task] = {
                "positives": int(positives[:, i].sum()),
                "rate": float(rate[i]),
                "ci95": [float(low[i]), float(high[i])],
                "lift": float(rate[i] / base) if base else None,
                "lift_ci95": [float(low[i] / base), float(high[i] / base)] if base else None,
                "odds_ratio": _odds_ratio(float(rate[i]), base),
                "of_positives": float(positives[:, i].sum() / total),
            }
            if gives_away(float(low[i]), base):
                entry["gives_away"].append(task)
            elif gives_away(float(low[i]), base, CLOSE_RATE):
                entry["comes_close"].append(task)
    found.sort(key=_order)
    return found, rare


def _order(entry: Mapping) -> tuple:
    """What gives away first, then what comes close, then by the lower end of the lift."""
    lift = max((t["lift_ci95"][0] for t in entry["tasks"].values() if t["lift_ci95"]), default=0)
    return not entry["gives_away"], not entry["comes_close"], -lift, entry["entry"], entry["when"]


def gives_away(low: float, base: float, limit: float = GIVES_AWAY_RATE) -> bool:
    """Whether a rate of at least `low` gives the label away where that of all groups is `base`."""
    ratio = _odds_ratio(low, base)
    return low > limit and ratio is not None and ratio > GIVES_AWAY_ODDS


def _odds_ratio(rate: float, base: float) -> float | None:
    """Odds of `rate` over odds of `base`; None where they are not finite."""
    if not 0 < base < 1 or rate >= 1:
        return None
    return rate / (1 - rate) * (1 - base) / base


def _column(counts: Counts, groups: np.ndarray, column: Column, tasks: Mapping) -> dict:
    mine = counts.slices[column.name]
    found: dict = {"column": column.name, "levels": column.levels, "gives_away": [], "tasks": {}}
    for task, positives in zip(tasks, counts.positives, strict=True):
        auc, ci95 = figures.column_auc(groups[:, mine], positives[:, mine])
        found["tasks"][task] = {"auc": auc, "ci95": ci95}
        if ci95 is not None and ci95[0] > GIVES_AWAY_AUC:
            found["gives_away"].append(task)
    return found


def _lot(manifest: Manifest, groups: int, *key: int) -> np.ndarray:
    """Labels by lot at the base rates, nested as horizons are. [groups, T]"""
    rates = np.array([manifest.label_rate(t.name) for t in manifest.schema.tasks])
    return (generator(*key).random((groups, 1)) < rates).astype(np.uint8)
