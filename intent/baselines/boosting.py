"""Gradient boosting (LightGBM) of one task, with as many rounds as other users ask for.

Letters: n rows, K features.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intent.errors import IntentError

if TYPE_CHECKING:
    import lightgbm

PATIENCE = 50  # rounds without an improvement after which it is enough
UNCHOSEN = 100  # rounds where there is nobody to choose them by
ROWS_A_THREAD = 20_000  # with fewer, threads wait for one another longer than they work
# Of the data in each tree, and how far a leaf is believed. Groups of one user are alike, so little:
# of three settings this one did best on the last training day of a simulated shop.
SHARE_OF_FEATURES, FEWEST_FEATURES = 0.25, 8  # that a tree may choose from
LEAVE_OUT = {
    "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 20.0, "min_data_in_leaf": 100,
    "cat_smooth": 20.0, "min_data_per_group": 100,
}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """What each round brought, lists of equal length.

    Attributes:
        loss: mean log loss of the rows learnt from.
        loss_of_others: of the rows that the rounds are chosen by.
    """

    loss: list[float]
    loss_of_others: list[float]


def boost(
    values: np.ndarray,
    labels: np.ndarray,
    chosen_by: np.ndarray,
    *,
    names: Sequence[str],
    categorical: Sequence[str] = (),
    weights: np.ndarray | None = None,
    rounds: int = 2000,
    leaves: int = 15,
    shrinkage: float = 0.05,
    seed: int = 0,
) -> tuple[lightgbm.Booster, Curve]:
    """Fit trees to one task.

    First on the rows outside `chosen_by`, until the log loss of those in it falls no more; then so
    many rounds on all rows, since no row should be wasted. Where the rows of either part are of one
    class there is nothing to choose by, and `UNCHOSEN` rounds are made. The same arguments give the
    same trees, whatever the number of threads.

    Args:
        values: [n, K] float32; NaN is missing.
        labels: [n] of 0 and 1.
        chosen_by: [n] bool: rows to choose the rounds by, of other users than the rest.
        names: [K]; categorical: those whose values are whole numbers without an order.
        weights: [n] in the loss; all 1 by default.
        rounds: at most; leaves: of a tree at most; shrinkage: of each tree.
    """
    lgb = load_lightgbm()
    options = {
        "objective": "binary", "metric": "binary_logloss",
        "feature_fraction": min(max(SHARE_OF_FEATURES, FEWEST_FEATURES / len(names)), 1.0),
        "num_leaves": leaves, "learning_rate": shrinkage, **LEAVE_OUT, "max_bin": 127,
        "seed": seed, "deterministic": True, "force_col_wise": True, "verbose": -1,
        "num_threads": min(_cores(), 1 + len(values) // ROWS_A_THREAD),
    }  # fmt: skip
    every = lgb.Dataset(
        values, labels, weight=weights, feature_name=list(names),
        categorical_feature=list(categorical), params=options, free_raw_data=False,
    )  # fmt: skip
    curve = Curve([], [])
    best = min(rounds, UNCHOSEN)
    if all(len(np.unique(labels[part])) == 2 for part in (chosen_by, ~chosen_by)):
        best, curve = _choose(lgb, every, chosen_by, options, rounds)
    return lgb.train(options, every, num_boost_round=best), curve


def _choose(lgb, every, chosen_by: np.ndarray, options: dict, rounds: int) -> tuple[int, Curve]:
    """How many rounds do best on the rows `chosen_by`."""
    learnt, others = (every.subset(np.flatnonzero(part)) for part in (~chosen_by, chosen_by))
    history: dict = {}
    model = lgb.train(
        options,
        learnt,
        num_boost_round=rounds,
        valid_sets=[learnt, others],
        valid_names=["learnt", "others"],
        callbacks=[
            lgb.early_stopping(PATIENCE, verbose=False),
            lgb.record_evaluation(history),
        ],
    )
    found = [history[rows]["binary_logloss"] for rows in ("learnt", "others")]
    return max(model.best_iteration, 1), Curve(*found)


def _cores() -> int:
    """Those that this process is given: OMP_NUM_THREADS, else as many as it may run on."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else len(os.sched_getaffinity(0))


def load_lightgbm():
    """The package; IntentError that says how to get it."""
    # A thread that spins while it waits takes the core from the one that it waits for, wherever
    # something else runs beside; sleeping costs little.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import lightgbm
    except ImportError as error:
        raise IntentError(
            f"boosting needs LightGBM: pip install 'intent[baselines]' ({error})"
        ) from error
    return lightgbm
