"""AUCs of trainings on the same held-out groups, with intervals over users, and their differences.

Letters: R resamples of users, S seeds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intent.evaluation.bootstrap import interval, ranking, user_codes, user_weights
from intent.evaluation.predict import Predictions

TASKS = ("realtime", "longterm")
RESAMPLES = 1000


def aucs(files: list[Path], resamples: int = RESAMPLES) -> dict[str, np.ndarray]:
    """Task -> AUCs [1 + R, S] of predictions that differ in their seed; row 0 is of all users.

    All files of all calls must hold the same groups in the same order: then row i stands for the
    same users everywhere, and rows can be subtracted.
    """
    loaded = [Predictions.load(file) for file in files]
    codes, n_users = user_codes(loaded[0].users)
    for other in loaded[1:]:
        if not (
            np.array_equal(other.users, loaded[0].users)
            and np.array_equal(other.times, loaded[0].times)
        ):
            raise ValueError(f"{files} hold other groups, or in another order")  # fmt: skip
    found = {}
    for column, task in enumerate(TASKS):
        statistics = [ranking(p.scores[task], p.labels[:, column], codes) for p in loaded]
        weights = [np.ones(n_users), *user_weights(n_users, resamples, seed=0)]
        found[task] = np.array([[s(w_U)[0] for s in statistics] for w_U in weights])
    return found


def estimate(values: np.ndarray) -> dict:
    """The mean over seeds of AUCs or differences [1 + R, S], its interval, and each seed's."""
    over_seeds = values.mean(axis=1)
    return {
        "value": float(over_seeds[0]),
        "ci95": interval(over_seeds[1:]),
        "seeds": values[0].tolist(),
        "seed_sd": float(values[0].std(ddof=1)) if values.shape[1] > 1 else None,
    }


def compare(
    files: dict[str, list[Path]], references: dict[str, str], resamples: int = RESAMPLES
) -> dict:
    """Per variant and task its "auc", and its "difference" to its reference, if it has one.

    Differences are paired by user and by seed.
    """
    found = {name: aucs(of_variant, resamples) for name, of_variant in files.items()}
    out: dict = {}
    for name, of_variant in found.items():
        for task, values in of_variant.items():
            judged = {"auc": estimate(values)}
            if name in references:
                judged["difference"] = estimate(values - found[references[name]][task])
            out.setdefault(name, {})[task] = judged
    return out


def held_out(file: Path) -> dict[str, int]:
    """Groups, users and positives by task of the held-out day."""
    p = Predictions.load(file)
    positives = {f"positives_{t}": int(p.labels[:, i].sum()) for i, t in enumerate(TASKS)}
    return {"groups": len(p.users), "users": user_codes(p.users)[1], **positives}
