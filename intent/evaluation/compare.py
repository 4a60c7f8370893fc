"""Two models on the same groups: differences of their figures, paired by user.

Both models are asked about the same groups, so luck with users hits both alike and falls out of the
difference: its interval is narrower than those of the two figures let one think. In each resample
the same users are drawn for both.

Either side may be several runs that differ in their seed; then a figure is the mean over them. The
interval speaks of other users, not of other seeds or days.

Letters: n groups, R resamples, U users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from intent import metrics
from intent.errors import IntentError
from intent.evaluation import bootstrap
from intent.evaluation.bootstrap import Statistic
from intent.evaluation.predict import Predictions

FIGURES = ("auc", "pr_auc", "log_loss")
LESS_IS_BETTER = {"log_loss"}
A, B, EVEN = "A is better", "B is better", "not told apart"


def compare(
    a: Predictions | Sequence[Predictions],
    b: Predictions | Sequence[Predictions],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Compare two models, or two sets of runs of them.

    Args:
        a, b: predictions of the same groups in any order; a sequence is runs that differ in their
            seed, and its figures are means over these.

    Returns a dict that is valid JSON:
        groups, users          counts; positives: task -> count
        runs                   {"a": runs of A, "b": runs of B}
        only_a, only_b         tasks that only one of the two has
        tasks                  task -> figure ("auc", "pr_auc", "log_loss") -> {"a", "b",
                               "difference", "p", "verdict"}: "a", "b" and "difference" (A minus B)
                               are {"value", "ci95"}, "p" is how often at most chance alone would
                               show a difference so far from 0 (two-sided, by the resamples)
        identical              whether every score of both is the same
        resamples, seed        as given

    Raises IntentError where the groups or their labels differ, or no task is common.
    """
    a, b = ([x] if isinstance(x, Predictions) else list(x) for x in (a, b))
    every = aligned([*a, *b])
    a, b = every[: len(a)], every[len(a) :]
    tasks = [task for task in a[0].scores if task in b[0].scores]
    if not tasks:
        raise IntentError(
            f"the two have no task in common: {', '.join(a[0].scores)} and {', '.join(b[0].scores)}"
        )
    codes, n_users = bootstrap.user_codes(a[0].users)
    result: dict = {"groups": len(codes), "users": n_users, "positives": {}, "tasks": {}}
    for task in tasks:
        sides = [_side(runs, task, codes, n_users) for runs in (a, b)]
        labels = a[0].labels[:, list(a[0].scores).index(task)]
        result["positives"][task] = int(labels.sum())
        same = _same(a, b, task)
        result["tasks"][task] = _figures(*sides, n_users, resamples, seed, same)
    result |= {
        "runs": {"a": len(a), "b": len(b)},
        "only_a": sorted(set(a[0].scores) - set(tasks)),
        "only_b": sorted(set(b[0].scores) - set(tasks)),
        "identical": all(_same(a, b, task) for task in tasks),
        "resamples": resamples,
        "seed": seed,
    }
    return result


def aligned(runs: Sequence[Predictions]) -> list[Predictions]:
    """The same groups in the same order; IntentError where they differ, with how many are common.

    A group is known by user and time. Several of one user and moment keep their order.
    """
    ordered = [p.where(np.lexsort((p.times, p.users.astype(str)))) for p in runs]
    first = ordered[0]
    for other in ordered[1:]:
        if not (
            np.array_equal(first.users, other.users) and np.array_equal(first.times, other.times)
        ):
            mine, theirs = _keys(first), _keys(other)
            raise IntentError(
                f"the runs were evaluated on different groups: {len(first.users):,} and "
                f"{len(other.users):,}, of which {len(mine & theirs):,} are common; evaluate both "
                "with the same --samples and train.evaluation_days"
            )
        for task in set(first.scores) & set(other.scores):
            mine, theirs = (p.labels[:, list(p.scores).index(task)] for p in (first, other))
            differ = int((mine != theirs).sum() + (first.weights != other.weights).sum())
            if differ:
                raise IntentError(
                    f"the runs were evaluated on the same moments with other labels or weights "
                    f"({task}: {differ:,} of {len(mine):,} groups): evaluate both on the same "
                    "samples"
                )
    return ordered


def verdict(figure: str, difference: dict) -> str:
    """What a difference A minus B says: `A`, `B` or `EVEN`."""
    ci95 = difference["ci95"]
    if ci95 is None or ci95[0] <= 0 <= ci95[1]:
        return EVEN
    return A if (ci95[0] > 0) != (figure in LESS_IS_BETTER) else B


def _side(runs: Sequence[Predictions], task: str, codes: np.ndarray, n_users: int) -> Statistic:
    """The statistic (AUC, average precision, log loss) of one model, the mean over its runs."""
    each: list[Callable] = []
    for run in runs:
        p, y, w = metrics.check_probabilities(
            run.scores[task], run.labels[:, list(run.scores).index(task)], run.weights
        )
        ranked = bootstrap.ranking(p, y, codes, None if (w == 1).all() else w)
        ranked = bootstrap.unless_few(ranked, y, codes)
        loss = bootstrap.means(metrics.log_losses(p, y)[:, None], codes, n_users, w)
        each.append(lambda w_U, r=ranked, m=loss: np.append(r(w_U), m(w_U)))
    return lambda w_U: np.mean([statistic(w_U) for statistic in each], axis=0)


def _figures(
    of_a: Statistic, of_b: Statistic, n_users: int, resamples: int, seed: int, same: bool
) -> dict:
    value, drawn = bootstrap.paired(of_a, of_b, n_users, resamples, seed)
    found = {}
    for i, figure in enumerate(FIGURES):
        sides = [
            {
                "value": _number(value[k, i]),
                "ci95": None if drawn is None else bootstrap.interval(drawn[:, k, i]),
            }
            for k in range(3)
        ]
        if same and drawn is not None and np.isfinite(value[2, i]):
            sides[2]["ci95"] = [0.0, 0.0]  # no draw of users can tell a model from itself
        row = dict(zip(("a", "b", "difference"), sides, strict=True))
        known = drawn is not None and sides[2]["ci95"] is not None
        row["p"] = _p(drawn[:, 2, i]) if known else None
        found[figure] = row | {"verdict": verdict(figure, row["difference"])}
    return found


def _p(drawn_R: np.ndarray) -> float:
    """Two-sided p of a difference of 0, from the resamples; never below 2 / (R + 1)."""
    drawn_R = drawn_R[np.isfinite(drawn_R)]
    tail = min((drawn_R <= 0).sum(), (drawn_R >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(drawn_R) + 1)))


def _same(a: Sequence[Predictions], b: Sequence[Predictions], task: str) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x.scores[task], y.scores[task]) for x, y in zip(a, b, strict=True)
    )


def _keys(found: Predictions) -> set:
    return set(zip(found.users.tolist(), found.times.tolist(), strict=True))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
