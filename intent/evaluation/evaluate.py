"""All figures of one evaluation, each with its interval: what `intent evaluate` prints and reports.

Letters: n groups, T tasks, U users, K calibration bins, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from intent import metrics
from intent.errors import IntentError
from intent.evaluation import bootstrap
from intent.schema import Task


def evaluate(
    scores: Mapping[str, np.ndarray],
    labels: np.ndarray,
    users,
    tasks: Sequence[Task],
    *,
    weights: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
    bins: int = 10,
) -> dict:
    """Judge the probabilities of one model on held-out groups.

    Args:
        scores: task name -> probabilities [n].
        labels: [n, T] of 0 and 1, a column per task in the order of `tasks`.
        users: [n] names or codes; whole users are resampled for the intervals.
        tasks: the tasks to judge, in the order of the columns of `labels`.
        weights: [n] how many groups each one stands for where the samples kept only a share of the
            negatives (`samples.undersampling.weights`): every figure, and the share of a
            calibration bin, is then of all groups; counts stay those of the groups given.
        resamples: R, how often users are drawn anew.
        seed: of those draws.
        bins: K, calibration bins of equal count.

    Returns:
        A dict that is valid JSON. An estimate is {"value": float or None, "ci95": [low, high] or
        None}; None stands for what the data cannot give, and "notes" says in a sentence why.

        auc_TASK              estimate of the ROC AUC (a key per task: auc_realtime, auc_longterm)
        pr_auc                task -> estimate of the average precision
        base_rate             task -> estimate of the share of positives
        mean_score            task -> estimate of the mean probability
        log_loss              task -> estimate, in nats
        log_loss_base_rate    task -> estimate for always saying the base rate
        brier                 task -> estimate of the mean squared error
        calibration_error     task -> {"value", "ci95", "by_chance"}: expected calibration error,
                              its interval by the basic bootstrap (see `before_after`), and what a
                              perfectly calibrated model would show with so few users
        calibration           task -> lists over bins: predicted, observed, ci95, share, groups
        groups, users         counts; positives: task -> count
        tasks                 task -> horizon in ms
        resamples, seed       as given
        notes                 sentences on what could not be computed

    Raises IntentError for no groups, for a missing task and for arrays that cannot be right.
    """
    labels = _checked(scores, labels, users, tasks)
    w = np.ones(len(labels)) if weights is None else np.asarray(weights, float)
    codes, n_users = bootstrap.user_codes(users)
    result: dict = {"groups": len(labels), "users": n_users}
    for t, task in enumerate(tasks):
        figures = _judge(scores[task.name], labels[:, t], w, codes, n_users, resamples, seed, bins)
        result[f"auc_{task.name}"] = figures.pop("auc")
        for name, value in figures.items():
            result.setdefault(name, {})[task.name] = value
    result |= {
        "tasks": {task.name: task.horizon_ms for task in tasks},
        "resamples": resamples,
        "seed": seed,
        "notes": _notes(result, tasks),
    }
    return plain(result)


def curves(
    scores: Mapping[str, np.ndarray],
    labels: np.ndarray,
    tasks: Sequence[Task],
    weights: np.ndarray | None = None,
) -> dict:
    """Points for the plots: task -> {"roc": {"fpr", "tpr"}, "pr": {"recall", "precision"}}."""
    labels = np.asarray(labels)
    return {
        task.name: {
            "roc": metrics.roc_curve(scores[task.name], labels[:, t], weights),
            "pr": metrics.pr_curve(scores[task.name], labels[:, t], weights),
        }
        for t, task in enumerate(tasks)
    }


def _judge(scores, labels, w, codes, n_users: int, resamples: int, seed: int, bins: int) -> dict:
    """The figures of one task."""
    p, y, w = metrics.check_probabilities(scores, labels, w)
    own = None if (w == 1).all() else w  # to leave them out is quicker in every resample
    ranked = bootstrap.unless_few(bootstrap.ranking(p, y, codes, own), y, codes)
    auc, pr_auc = bootstrap.estimate(ranked, n_users, resamples, seed)
    averages = bootstrap.means(
        np.stack([metrics.log_losses(p, y), (p - y) ** 2, y, p], axis=1), codes, n_users, w
    )

    def with_entropy(w_U: np.ndarray) -> np.ndarray:
        values = averages(w_U)
        return np.append(values, metrics.entropy(values[2]))

    loss, brier, base_rate, mean_score, base_loss = bootstrap.estimate(
        with_entropy, n_users, resamples, seed
    )
    return {
        "auc": auc,
        "pr_auc": pr_auc,
        "base_rate": base_rate,
        "mean_score": mean_score,
        "log_loss": loss,
        "log_loss_base_rate": base_loss,
        "brier": brier,
        "positives": int(y.sum()),
        **_calibration(p, y, w, codes, n_users, resamples, seed, bins),
    }


def _calibration(p, y, w, codes, n_users: int, resamples: int, seed: int, bins: int) -> dict:
    """Bins with an interval each, the error, and the error that chance alone would show.

    A calibration error is never negative, so noise alone makes one. How much: in each resample of
    users the gap of a bin moves by noise of the same size; the mean of those moves, taken
    absolute and weighted by the bin's share, is the error of a model without any.
    """
    result = metrics.calibration(p, y, w, bins=bins)
    error = result.pop("error")
    ci95, by_chance, around = [None] * len(result["groups"]), None, None
    if n_users >= bootstrap.FEWEST_USERS:
        _, where = np.unique(metrics.bins_of(p, w, bins), return_inverse=True)
        k = len(result["groups"])

        def by_user(values):
            cell = codes.astype(np.int64) * k + where
            return np.bincount(cell, values, n_users * k).reshape(n_users, k)

        groups_UK, gap_UK, bought_UK = by_user(w), by_user(w * (y - p)), by_user(w * y)

        def statistic(w_U: np.ndarray) -> np.ndarray:
            groups_K, gap_K = w_U @ groups_UK, w_U @ gap_UK
            whole_K = np.full(k, np.abs(gap_K).sum() / groups_K.sum())
            with np.errstate(invalid="ignore"):  # a bin whose users were not drawn is NaN
                return np.stack([w_U @ bought_UK / groups_K, gap_K / groups_K, whole_K])

        samples = bootstrap.resample(statistic, n_users, resamples, seed)
        ci95 = [bootstrap.interval(samples[:, 0, i]) for i in range(k)]
        gap = np.asarray(result["observed"]) - np.asarray(result["predicted"])
        around = bootstrap.reflected(bootstrap.interval(samples[:, 2, 0]), error)
        by_chance = float(np.nansum(np.abs(samples[:, 1] - gap) * result["share"], axis=1).mean())
    return {
        "calibration": {**result, "ci95": ci95},
        "calibration_error": {"value": error, "ci95": around, "by_chance": by_chance},
    }


def _checked(scores, labels, users, tasks: Sequence[Task]) -> np.ndarray:
    """The labels as an array [n, T]; IntentError if the arguments do not fit together."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] != len(tasks):
        raise IntentError(
            f"labels have shape {labels.shape}, expected [groups, {len(tasks)}]: "
            f"a column for each of {', '.join(t.name for t in tasks)}"
        )
    if not len(labels):
        raise IntentError(
            "there are no groups to evaluate: the evaluation days hold no cut whose longest "
            "horizon ends within the observed span; use logs of more days"
        )
    for task in tasks:
        if task.name not in scores:
            raise IntentError(
                f"no scores for the task {task.name}; the model gives {', '.join(scores)}"
            )
        if not len(scores[task.name]) == len(labels) == len(users):
            raise IntentError(
                f"task {task.name}: {len(scores[task.name])} scores, {len(labels)} labels and "
                f"{len(users)} users; expected one of each per group"
            )
    return labels


def _notes(result: dict, tasks: Sequence[Task]) -> list[str]:
    """What the data could not give, in sentences."""
    notes = []
    for task in tasks:
        positives, groups = result["positives"][task.name], result["groups"]
        if positives in (0, groups):
            which = "none" if positives == 0 else "every one"
            notes.append(
                f"{task.name}: {which} of {groups:,} groups has a purchase within its horizon, "
                "so there is nothing to rank and no AUC. Evaluate on more users or days."
            )
        elif _lacks_interval(result[f"auc_{task.name}"], result["users"]):
            which, rare = min(("positive", positives), ("negative", groups - positives),
                              key=lambda one: one[1])  # fmt: skip
            notes.append(
                f"{task.name}: only {rare:,} of {groups:,} groups are {which}, too few "
                "users for an interval of the AUC. Evaluate on more users or days."
            )
    if result["users"] < bootstrap.FEWEST_USERS:
        notes.append(
            f"The groups come from {result['users']} users, fewer than {bootstrap.FEWEST_USERS}: "
            "no interval is given, and no figure here says much about other users."
        )
    return notes


def _lacks_interval(auc: dict, users: int) -> bool:
    """Whether positives are too few for an interval; a perfect or constant score has none."""
    plain = auc["value"] in (0, 0.5, 1)
    return auc["ci95"] is None and not plain and users >= bootstrap.FEWEST_USERS


def plain(tree):
    """A tree of dicts and lists with NaN as None throughout, since JSON has no NaN."""
    if isinstance(tree, dict):
        return {k: plain(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [plain(v) for v in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
