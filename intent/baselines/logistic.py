"""Logistic regression on session features: the floor that every other model must be above.

Numbers are put on a logarithmic scale (counts and times have long tails) and standardized, what is
missing is the mean and tells so in a column of its own; categories are one column each.

Letters: n rows, K features, M columns made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intent import metrics
from intent.errors import IntentError

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # C of scikit-learn: the smaller, the nearer to zero
TURNS = 200  # of the optimizer
ROWS = 8192  # that are prepared at a time when scored


@dataclass(frozen=True)
class Preparation:
    """From features to columns that a linear model can use.

    Attributes:
        numbers: positions of the numeric features among the K; centre, scale: of their logarithms.
        gaps: positions of the numeric features that may be missing.
        categories: positions of the categorical ones, with the values that were seen.
    """

    numbers: list[int]
    centre: np.ndarray
    scale: np.ndarray
    gaps: list[int]
    categories: list[tuple[int, list[int]]]

    @staticmethod
    def of(values: np.ndarray, names: Sequence[str], categorical: Sequence[str]) -> Preparation:
        """Learnt from the features [n, K] of the rows to be learnt from."""
        kinds = [i for i, name in enumerate(names) if name in set(categorical)]
        numbers, centres, scales, gaps = [], [], [], []
        for i in sorted(set(range(len(names))) - set(kinds)):
            column = _logarithm(values[:, i])
            known = column[~np.isnan(column)]
            if not len(known):
                continue
            if len(known) < len(column):
                gaps.append(i)
            if (spread := known.std(dtype=np.float64)) > 0:
                numbers.append(i)
                centres.append(known.mean(dtype=np.float64))
                scales.append(spread)
        seen = [(i, np.unique(values[:, i]).astype(int).tolist()) for i in kinds]
        return Preparation(numbers, np.array(centres), np.array(scales), gaps, seen)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Features [n, K] to columns float32 [n, M]."""
        numeric = (_logarithm(values[:, self.numbers]) - self.centre) / self.scale
        parts = [np.nan_to_num(numeric, nan=0.0), np.isnan(values[:, self.gaps])]
        parts += [values[:, [i]] == np.array(seen) for i, seen in self.categories]
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")

    def to_dict(self) -> dict:
        """Plain lists, for JSON."""
        return {
            "numbers": self.numbers, "centre": self.centre.tolist(), "scale": self.scale.tolist(),
            "gaps": self.gaps, "categories": [[i, seen] for i, seen in self.categories],
        }  # fmt: skip

    @staticmethod
    def from_dict(data: dict) -> Preparation:
        """The inverse of `to_dict`."""
        centre, scale = np.array(data["centre"]), np.array(data["scale"])
        categories = [(i, seen) for i, seen in data["categories"]]
        return Preparation(data["numbers"], centre, scale, data["gaps"], categories)


@dataclass(frozen=True)
class Logistic:
    """A fitted model: weights [M] of the prepared columns, and an intercept."""

    preparation: Preparation
    weights: np.ndarray
    intercept: float
    strength: float

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """float64 [n] of features [n, K]."""
        logits = [
            self.preparation(values[low : low + ROWS]).astype(np.float64) @ self.weights
            for low in range(0, len(values), ROWS)
        ]
        return 1 / (1 + np.exp(-(np.concatenate(logits or [np.zeros(0)]) + self.intercept)))

    def to_dict(self) -> dict:
        """For JSON."""
        return {
            "preparation": self.preparation.to_dict(),
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
            "strength": self.strength,
        }

    @staticmethod
    def from_dict(data: dict) -> Logistic:
        """The inverse of `to_dict`."""
        preparation = Preparation.from_dict(data["preparation"])
        weights = np.array(data["weights"])
        return Logistic(preparation, weights, data["intercept"], data["strength"])


def regress(
    values: np.ndarray,
    labels: np.ndarray,
    chosen_by: np.ndarray,
    *,
    names: Sequence[str],
    categorical: Sequence[str] = (),
    weights: np.ndarray | None = None,
) -> tuple[Logistic, list[float]]:
    """Fit one task; arguments as of `boosting.boost`.

    How strongly weights are held near zero is chosen by the log loss of the rows `chosen_by`, then
    all rows are learnt from. Returns also the log loss of each of `STRENGTHS`; none where the rows
    of either part are of one class.

    Raises IntentError where all labels are the same: there is nothing to separate.
    """
    if len(np.unique(labels)) < 2:
        raise IntentError(
            f"all {len(labels)} labels to learn from are {int(labels[0])}: there is nothing to "
            "separate; give samples of more users or days"
        )
    weights = np.ones(len(labels)) if weights is None else weights
    preparation = Preparation.of(values, names, categorical)
    columns = preparation(values)
    strength, losses = STRENGTHS[-2], []
    if all(len(np.unique(labels[part])) == 2 for part in (chosen_by, ~chosen_by)):
        for c in STRENGTHS:
            part = _fit(columns[~chosen_by], labels[~chosen_by], weights[~chosen_by], c)
            scores = part.predict_proba(columns[chosen_by])[:, 1]
            losses.append(metrics.log_loss(scores, labels[chosen_by], weights[chosen_by]))
        strength = STRENGTHS[int(np.argmin(losses))]
    fitted = _fit(columns, labels, weights, strength)
    intercept = float(fitted.intercept_[0])
    coefficients = fitted.coef_[0].astype(np.float64)
    return Logistic(preparation, coefficients, intercept, strength), losses


def _fit(columns: np.ndarray, labels: np.ndarray, weights: np.ndarray, strength: float):
    """scikit-learn's model; that it came not wholly to rest in `TURNS` turns is no matter."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=TURNS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(columns, labels, sample_weight=weights)


def _logarithm(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return np.sign(values) * np.log1p(np.abs(values))
