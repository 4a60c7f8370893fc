"""Judges the runs of an ablation: every AUC, every difference, and whether the paper's order holds.

Intervals come from drawing users anew (`intent.evaluation.bootstrap`); all contenders get the same
draws, so that a difference is paired by user. A contender's AUC is the mean over its k seeds; what
other seeds would have given is drawn too (`seed_noise`), so that an interval covers both.

Letters: n groups, U users, R resamples, k seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import stdev
from zlib import crc32

import numpy as np

from intent.evaluation import bootstrap
from intent.evaluation.compare import aligned
from intent.evaluation.paper_tables import WHOLE, PaperTable
from intent.evaluation.predict import Predictions

HOLDS, REVERSED, OPEN = "holds", "reversed", "not told apart"


@dataclass(frozen=True)
class Drawn:
    """The AUCs of one contender in one task.

    Attributes:
        value: the mean over seeds.
        seeds: of each seed.
        resamples: [R], the mean over seeds for each draw of users, other seeds drawn with them;
            None with too few users.
    """

    value: float
    seeds: tuple[float, ...]
    resamples: np.ndarray | None

    def told(self) -> dict:
        """As JSON: {"value", "ci95", "seeds", "sd"}."""
        sd = stdev(self.seeds) if len(self.seeds) > 1 else None
        return {**_estimate(self.value, self.resamples), "seeds": list(self.seeds), "sd": sd}


def judge(
    runs: Mapping[str, Sequence[Path]],
    tables: Sequence[PaperTable],
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """The figures of some tables.

    Args:
        runs: contender -> predictions.parquet of each seed's run.
        tables: whose contenders are all in `runs`.
        resamples: R; seed: of the draws.

    Returns JSON: {"groups", "users", "positives": task -> count, "seed_sd": family -> task -> sd
    over seeds (without a family that has one seed), "tables": [{"number", "title",
    "missing", "rows": [{"name", "title", "auc": task -> estimate, "paper": task -> AUC,
    "difference": task -> estimate of DIPN's AUC minus its}], "orderings": [{"better", "worse",
    "task", "paper", "difference", "verdict"}]}]}. An estimate is {"value", "ci95"}.

    Raises IntentError where runs have scored different groups.
    """
    drawn, facts = _draw(runs, resamples, seed)
    families = {c.name: c.family for table in tables for c in table.contenders}
    drawn, facts["seed_sd"] = seed_noise(drawn, families, seed)
    found = [_table(table, drawn) for table in tables]
    return {**facts, "resamples": resamples, "seed": seed, "tables": found}


def _draw(runs: Mapping[str, Sequence[Path]], resamples: int, seed: int) -> tuple[dict, dict]:
    files = [(name, Path(file)) for name, some in runs.items() for file in some]
    every = aligned([Predictions.load(file) for _, file in files])
    codes, n_users = bootstrap.user_codes(every[0].users)
    positives: dict[str, int] = {}
    parts: dict[tuple[str, str], list[tuple[float, np.ndarray | None]]] = {}
    for (name, _), found in zip(files, every, strict=True):
        for t, (task, scores) in enumerate(found.scores.items()):
            positives[task] = int(found.labels[:, t].sum())
            auc = _auc(scores, found.labels[:, t], codes, found.weights)
            many = None
            if n_users >= bootstrap.FEWEST_USERS:
                many = bootstrap.resample(auc, n_users, resamples, seed)[:, 0]
            parts.setdefault((name, task), []).append((float(auc(np.ones(n_users))[0]), many))
    drawn = {key: _mean(some) for key, some in parts.items()}
    return drawn, {"groups": len(codes), "users": n_users, "positives": positives}


def _mean(some: Sequence[tuple[float, np.ndarray | None]]) -> Drawn:
    values = tuple(value for value, _ in some)
    lots = [many for _, many in some if many is not None]
    return Drawn(float(np.mean(values)), values, np.mean(lots, axis=0) if lots else None)


def seed_noise(
    drawn: Mapping[tuple[str, str], Drawn], families: Mapping[str, str], seed: int
) -> tuple[dict[tuple[str, str], Drawn], dict[str, dict[str, float]]]:
    """Adds to the resamples what other seeds of the training would have changed.

    Two or three seeds say little of one contender's spread, so it is pooled: within a family
    (networks; models that are fitted) and task, the variance around each contender's own mean, on
    df = the sum of (k - 1) degrees of freedom. A mean over k seeds then varies by sd / sqrt(k), and
    t-distributed draws of it, independent for every contender, are added to its resamples.

    Returns the contenders with them, and family -> task -> sd. With one seed nothing is added.
    """
    found: dict[str, dict[str, float]] = {}
    made = dict(drawn)
    for family, task in sorted({(families[name], task) for name, task in drawn}):
        keys = [key for key in drawn if families[key[0]] == family and key[1] == task]
        away = [np.array(drawn[key].seeds) - drawn[key].value for key in keys]
        df = sum(len(some) - 1 for some in away)
        if not df:
            continue
        sd = float(np.sqrt(sum(some @ some for some in away) / df))
        found.setdefault(family, {})[task] = sd
        for key in keys:
            one = drawn[key]
            if one.resamples is None:
                continue
            rng = np.random.default_rng([seed, crc32("/".join(key).encode())])
            noise = sd / np.sqrt(len(one.seeds)) * rng.standard_t(df, len(one.resamples))
            made[key] = replace(one, resamples=one.resamples + noise)
    return made, found


def _auc(scores, labels, codes, weights) -> bootstrap.Statistic:
    own = None if (weights == 1).all() else weights
    return bootstrap.unless_few(bootstrap.ranking(scores, labels, codes, own), labels, codes)


def _table(table: PaperTable, drawn: Mapping[tuple[str, str], Drawn]) -> dict:
    rows = []
    for c in table.contenders:
        tasks = [task for task in table.tasks if (c.name, task) in drawn]
        rows.append({
            "name": c.name, "title": c.title,
            "auc": {task: drawn[c.name, task].told() for task in tasks},
            "paper": {task: c.paper[task] for task in table.paper_tasks if task in c.paper},
            "difference": {
                task: difference(drawn[WHOLE, task], drawn[c.name, task])
                for task in tasks if c.name != WHOLE
            },
        })  # fmt: skip
    paper = {c.name: c.paper for c in table.contenders}
    orderings = []
    for o in table.orderings:
        apart = difference(drawn[o.better, o.task], drawn[o.worse, o.task])
        theirs = paper[o.better][o.task] - paper[o.worse][o.task]
        orderings.append({
            "better": o.better, "worse": o.worse, "task": o.task, "paper": round(theirs, 4),
            "difference": apart, "verdict": verdict(apart["ci95"]),
        })  # fmt: skip
    return {
        "number": table.number, "title": table.title, "missing": list(table.missing),
        "tasks": table.tasks, "rows": rows, "orderings": orderings,
    }  # fmt: skip


def difference(one: Drawn, other: Drawn) -> dict:
    """AUC of `one` minus that of `other`, paired by user; the differences of seeds beside it."""
    pairs = [a - b for a, b in zip(one.seeds, other.seeds, strict=False)]
    some = one.resamples is not None and other.resamples is not None
    many = one.resamples - other.resamples if some else None
    sd = stdev(pairs) if len(pairs) > 1 else None
    return {**_estimate(one.value - other.value, many), "seeds": pairs, "sd": sd}


def verdict(ci95: Sequence[float] | None) -> str:
    """What an interval of (better - worse) says of the paper's order."""
    if ci95 is None or ci95[0] <= 0 <= ci95[1]:
        return OPEN
    return HOLDS if ci95[0] > 0 else REVERSED


def _estimate(value: float, resamples: np.ndarray | None) -> dict:
    return {
        "value": value,
        "ci95": None if resamples is None else bootstrap.interval(resamples),
    }
