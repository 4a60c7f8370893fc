"""Judges the runs of an ablation: every AUC, every difference, and whether the paper's order holds.

Intervals come from drawing users anew (`intent.evaluation.bootstrap`); all contenders get the same
draws, so that a difference is paired by user. A contender's AUC is the mean over its seeds.

Letters: n groups, U users, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev

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
        resamples: [R], the mean over seeds for each draw of users; None with too few users.
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

    Returns JSON: {"groups", "users", "positives": task -> count, "tables": [{"number", "title",
    "missing", "rows": [{"name", "title", "auc": task -> estimate, "paper": task -> AUC,
    "difference": task -> estimate of DIPN's AUC minus its}], "orderings": [{"better", "worse",
    "task", "paper", "difference", "verdict"}]}]}. An estimate is {"value", "ci95"}.

    Raises IntentError where runs have scored different groups.
    """
    drawn, facts = _draw(runs, resamples, seed)
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


def _auc(scores, labels, codes, weights) -> bootstrap.Statistic:
    return bootstrap.ranking(scores, labels, codes, None if (weights == 1).all() else weights)


def _table(table: PaperTable, drawn: Mapping[tuple[str, str], Drawn]) -> dict:
    rows = []
    for c in table.contenders:
        tasks = [task for task in table.tasks if (c.name, task) in drawn]
        rows.append({
            "name": c.name, "title": c.title,
            "auc": {task: drawn[c.name, task].told() for task in tasks},
            "paper": {task: c.paper[task] for task in table.tasks if task in c.paper},
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
    """AUC of `one` minus that of `other`, paired by user and by seed."""
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
