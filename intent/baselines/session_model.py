"""A model of session features with all its tasks: fitted, asked, saved and loaded.

On disk: FOLDER/model-TASK.txt, LightGBM's own text, for each task of a boosted model, and then
FOLDER/model.json with everything else. A folder that has model.json is whole.

Letters: n groups, K features, T tasks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intent.baselines.boosting import Curve, boost, load_lightgbm
from intent.baselines.logistic import Logistic, regress
from intent.baselines.table import Table, share_of_users
from intent.config import ModelConfig
from intent.errors import IntentError
from intent.progress import progress
from intent.storage import write_atomically

if TYPE_CHECKING:
    import lightgbm

NAME = "model.json"
CHOOSE_BY = 0.1  # share of the users by whom rounds and strengths are chosen
LEADING = 20  # features that model.json tells of


@dataclass(frozen=True)
class SessionModel:
    """Models of T tasks over the same K features.

    Attributes:
        kind: of `ModelConfig.kind`.
        names: [K], which the features asked with must have; categorical: some of them.
        of_task: task -> its model.
    """

    kind: str
    names: tuple[str, ...]
    categorical: tuple[str, ...]
    of_task: dict[str, lightgbm.Booster | Logistic]

    @property
    def tasks(self) -> list[str]:
        """The tasks that it has learnt."""
        return list(self.of_task)

    def probabilities(self, values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """float64 [n, T] of features [n, K]; IntentError where these are not the model's."""
        if names != self.names:
            odd = sorted(set(names) ^ set(self.names))[:3]
            raise IntentError(
                f"the model was fitted to {len(self.names)} features and is given {len(names)}; "
                f"differing: {odd}. Train anew with this version"
            )
        found = [
            model.probabilities(values) if isinstance(model, Logistic) else model.predict(values)
            for model in self.of_task.values()
        ]
        return np.stack(found, axis=1)

    def leading(self, task: str) -> dict[str, float]:
        """The features that matter most to a task: their share of all gain, or of all weight."""
        model = self.of_task[task]
        if isinstance(model, Logistic):
            numbers = model.preparation.numbers
            names = [self.names[i] for i in numbers]
            gain = np.abs(model.weights[: len(numbers)])
        else:
            names, gain = self.names, model.feature_importance("gain")
        first = np.argsort(-gain, kind="stable")[:LEADING]
        total = max(float(gain.sum()), 1e-30)
        return {names[i]: round(float(gain[i]) / total, 4) for i in first if gain[i] > 0}

    def save(self, folder: Path) -> None:
        """Write it; model.json last."""
        facts: dict[str, Any] = {
            "kind": self.kind,
            "features": list(self.names),
            "categorical": list(self.categorical),
            "tasks": {},
        }
        for task, model in self.of_task.items():
            told = {"leading": self.leading(task)}
            if isinstance(model, Logistic):
                told |= model.to_dict()
            else:
                told |= {"file": f"model-{task}.txt", "rounds": model.num_trees()}
                write_atomically(folder / told["file"], model.model_to_string())
            facts["tasks"][task] = told
        write_atomically(folder / NAME, json.dumps(facts, indent=1))


def load(folder: Path) -> SessionModel:
    """The model saved in `folder`; IntentError where it is not whole."""
    try:
        facts = json.loads((folder / NAME).read_text())
        of_task: dict[str, lightgbm.Booster | Logistic] = {}
        for task, told in facts["tasks"].items():
            if "file" in told:
                booster = load_lightgbm().Booster
                of_task[task] = booster(model_str=(folder / told["file"]).read_text())
            else:
                of_task[task] = Logistic.from_dict(told)
    except (OSError, ValueError, KeyError) as error:
        raise IntentError(f"no whole model in {folder} ({error}); train it anew") from error
    names, categorical = tuple(facts["features"]), tuple(facts["categorical"])
    return SessionModel(facts["kind"], names, categorical, of_task)


def fit(
    table: Table, tasks: list[str], config: ModelConfig, seed: int
) -> tuple[SessionModel, dict[str, Curve]]:
    """Fit one model a task to the features and labels of a table.

    Args:
        table: of the training days.
        tasks: names of the columns of its labels.
        config: which kind, and the sizes of boosting.
        seed: of what is drawn: users to choose by, rows and features of each tree.

    Returns: the model, and of boosting task -> its curve.
    """
    chosen_by = share_of_users(table.users, CHOOSE_BY, seed)
    weights = None if (table.weights == 1).all() else table.weights
    about = {"names": table.names, "categorical": table.categorical, "weights": weights}
    of_task: dict[str, lightgbm.Booster | Logistic] = {}
    curves: dict[str, Curve] = {}
    with progress("fitting", len(tasks), "tasks") as bar:
        for column, task in enumerate(tasks):
            known = table.values, table.labels[:, column], chosen_by
            if config.kind == "logistic":
                of_task[task], _ = regress(*known, **about)
            else:
                sizes = {n: getattr(config, n) for n in ("rounds", "leaves", "shrinkage")}
                of_task[task], curves[task] = boost(*known, **about, **sizes, seed=seed)
            bar.advance()
    return SessionModel(config.kind, table.names, table.categorical, of_task), curves
