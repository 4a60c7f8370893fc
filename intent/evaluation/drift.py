"""Do scores drift from day to day? PSI and KS between the scores of two days.

PSI (population stability index) sums (q - p) ln(q / p) over ten bins that hold a tenth of the
earlier day each; KS is the largest distance of the two distribution functions. Neither looks at
labels, so both can be watched before the labels of a day are known.

Both are above 0 by noise alone. `by_chance` is what 95 of 100 pairs of days stay below that differ
by nothing but their users' luck: users are drawn anew, and how far the shares then move around the
observed ones is what chance does. A user of both days is drawn in both, so the days stay paired.

Letters: n and m groups of two days, B fine bins, R resamples, U users of both days.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intent.evaluation import bootstrap
from intent.evaluation.predict import Predictions
from intent.schema import DAY_MS

FINE, COARSE = 200, 10  # bins of KS, and of PSI, which are FINE / COARSE fine ones each
EMPTY = 1e-4  # share that an empty bin is taken to hold, so that PSI stays finite
ALIKE, MOVED = 0.1, 0.25  # what PSI is by custom called small below, and large above
Day = tuple[np.ndarray, np.ndarray, np.ndarray]  # scores, users, weights


def psi(p_B: np.ndarray, q_B: np.ndarray) -> float:
    """Population stability index of two sets of shares, each of which sums to 1."""
    p, q = np.maximum(p_B, EMPTY), np.maximum(q_B, EMPTY)
    return float(np.sum((q - p) * np.log(q / p)))


def ks(p_B: np.ndarray, q_B: np.ndarray) -> float:
    """Largest distance of the distribution functions over bins in order."""
    return float(np.abs(np.cumsum(q_B - p_B)).max())


def drift_between(earlier: Day, later: Day, *, resamples: int = 200, seed: int = 0) -> dict:
    """How far the scores of two days are apart.

    Args:
        earlier, later: scores [n], users [n] by name, weights [n] of each.

    Returns {"psi", "ks"}, each {"value", "by_chance"}; by_chance is None with fewer than
    `bootstrap.FEWEST_USERS` users.
    """
    edges = _edges(*earlier[::2])
    bins = [np.searchsorted(edges, day[0], "right") for day in (earlier, later)]
    codes, n_users = bootstrap.user_codes(np.concatenate([earlier[1], later[1]]))
    codes = [codes[: len(bins[0])], codes[len(bins[0]) :]]

    def shares(w_U: np.ndarray) -> np.ndarray:
        """[2, FINE]"""
        counts = [
            np.bincount(b, w_U[c] * day[2], FINE)
            for b, c, day in zip(bins, codes, (earlier, later), strict=True)
        ]
        return np.stack([n / max(n.sum(), 1e-300) for n in counts])

    p, q = shares(np.ones(n_users))
    found = {"psi": psi(_coarse(p), _coarse(q)), "ks": ks(p, q)}
    chance: dict[str, float | None] = {"psi": None, "ks": None}
    if n_users >= bootstrap.FEWEST_USERS:
        middle = np.maximum(_coarse(p + q) / 2, EMPTY)
        moved = []
        for w_U in bootstrap.user_weights(n_users, resamples, seed):
            a, b = shares(w_U)
            moves = (b - a) - (q - p)  # what is left if the days do not differ
            moved.append([np.sum(_coarse(moves) ** 2 / middle), np.abs(np.cumsum(moves)).max()])
        chance = dict(zip(chance, np.quantile(moved, 0.95, axis=0).tolist(), strict=True))
    return {name: {"value": found[name], "by_chance": chance[name]} for name in found}


def drift(
    found: Predictions, reference: Predictions | None = None, *, resamples: int = 200, seed: int = 0
) -> dict:
    """Drift of the scores of each evaluated day.

    Args:
        found: the evaluated days.
        reference: scores of a day that was trained on, or of some groups of it; without it, days
            are compared with the first of those evaluated.

    Returns {"reference": day or None, "trained": whether that is `reference`'s, "days": [{"day",
    "groups", "users", "mean_score", "base_rate": {task: {"value", "ci95"}}, "drift": {task: see
    `drift_between`} or None}]}. The reference is the first of the days, and its drift is None.
    """
    days = [reference] if reference is not None else []
    days += [part for _, part in sorted(by_day(found).items())]
    rows = []
    for part in days:
        compared = None
        if part is not days[0]:
            compared = {
                task: drift_between(
                    (days[0].scores[task], days[0].users, days[0].weights),
                    (part.scores[task], part.users, part.weights),
                    resamples=resamples,
                    seed=seed,
                )
                for task in part.scores
            }
        codes, n_users = bootstrap.user_codes(part.users)
        row = {"day": day_of(part.times), "groups": len(codes), "users": n_users}
        row |= {"mean_score": {}, "base_rate": {}, "drift": compared}
        for i, (task, p) in enumerate(part.scores.items()):
            both = np.stack([p, part.labels[:, i]], axis=1)
            means = bootstrap.means(both, codes, n_users, part.weights)
            row["mean_score"][task], row["base_rate"][task] = bootstrap.estimate(
                means, n_users, resamples, seed
            )
        rows.append(row)
    whole = len(rows) > 1
    return {
        "reference": rows[0]["day"] if whole else None,
        "trained": whole and reference is not None,
        "days": rows,
    }


def by_day(found: Predictions) -> Mapping[str, Predictions]:
    """Day (YYYY-MM-DD, UTC) -> its groups."""
    number = found.times // DAY_MS
    return {day_of(found.times[number == n]): found.where(number == n) for n in np.unique(number)}


def day_of(times: np.ndarray) -> str:
    """The day of the first of some moments (epoch ms)."""
    return str(np.datetime64(int(times[0]) // DAY_MS, "D"))


def _edges(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Inner edges [FINE - 1] of bins that hold equally much of a day."""
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(weights[order])
    wanted = np.arange(1, FINE) / FINE * mass[-1]
    return scores[order][np.minimum(np.searchsorted(mass, wanted), len(order) - 1)]


def _coarse(shares: np.ndarray) -> np.ndarray:
    """[FINE] -> [COARSE]."""
    return shares.reshape(COARSE, -1).sum(axis=1)
