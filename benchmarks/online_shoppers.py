"""Gradient boosting on real sessions: UCI's Online Shoppers Purchasing Intention set.

12,330 sessions of a shop, each told by 17 aggregates, and whether it ended in a purchase (Sakar et
al., 2019; CC BY 4.0). They pass through the same boosting as our session features, in five-fold
cross-validation: with all columns, and without PageValues, which Google Analytics makes of the
pages' part in past purchases. Equal rows (125) are in one fold. Real data, none of it simulated.

    python benchmarks/online_shoppers.py [--csv FILE] [--seed 0] [--quick] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import outcome, tell  # noqa: E402
from intent.baselines.boosting import boost  # noqa: E402
from intent.baselines.table import share_of_users  # noqa: E402
from intent.metrics import roc_auc  # noqa: E402

CSV = Path(__file__).parents[2] / "shared/data/uci_online_shoppers/online_shoppers_intention.csv"
LABEL, PAGE_VALUES = "Revenue", "PageValues"
CATEGORIES = (
    "Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend",
)  # fmt: skip
TRUE = {"true", "yes", "1"}
FOLDS, CHOOSE_BY = 5, 0.1
GOALS = {"auc": 0.93, "auc_without_page_values": 0.78}


@dataclass(frozen=True)
class Sessions:
    """n sessions: values [n, K] float32, labels [n], and which rows are equal, codes [n]."""

    names: tuple[str, ...]
    values: np.ndarray
    labels: np.ndarray
    alike: np.ndarray

    def without(self, name: str) -> Sessions:
        """The same without one column."""
        kept = [i for i, n in enumerate(self.names) if n != name]
        return Sessions(
            tuple(self.names[i] for i in kept), self.values[:, kept], self.labels, self.alike
        )


def read(csv: Path) -> Sessions:
    """The sessions of UCI's file; categories as whole numbers in the order of their names."""
    frame = pd.read_csv(csv)
    labels = frame.pop(LABEL).astype(str).str.lower().isin(TRUE).to_numpy(np.uint8)
    alike = pd.concat([frame, pd.Series(labels, name=LABEL)], axis=1)
    alike = alike.groupby(list(alike.columns), sort=False, dropna=False).ngroup().to_numpy()
    for name in CATEGORIES:
        frame[name] = pd.Categorical(frame[name]).codes
    return Sessions(tuple(frame.columns), frame.to_numpy(np.float32), labels, alike)


def cross_validated(data: Sessions, seed: int, folds: int = FOLDS) -> list[float]:
    """The AUC of each fold, by trees that saw neither its rows nor rows equal to them."""
    order = np.random.default_rng(seed).permutation(data.alike.max() + 1)
    fold = (order % folds)[data.alike]
    found = []
    for k in range(folds):
        known = fold != k
        chosen_by = share_of_users(data.alike[known], CHOOSE_BY, seed)
        model, _ = boost(
            data.values[known], data.labels[known], chosen_by,
            names=data.names, categorical=CATEGORIES, seed=seed,
        )  # fmt: skip
        found.append(roc_auc(model.predict(data.values[~known]), data.labels[~known]))
    return found


def figures(csv: Path, seed: int, repeats: int) -> list[dict]:
    """Mean AUC over the folds of `repeats` divisions, with the standard deviation over folds."""
    data, out = read(csv), []
    for name, part in (("auc", data), ("auc_without_page_values", data.without(PAGE_VALUES))):
        aucs = [auc for r in range(repeats) for auc in cross_validated(part, seed + r)]
        mean = float(np.mean(aucs))
        out.append(
            {
                "name": name, "value": round(mean, 4), "unit": "AUC", "goal": f">= {GOALS[name]}",
                "met": mean >= GOALS[name], "spread": round(float(np.std(aucs)), 4),
                "folds": [round(a, 4) for a in aucs],
            }
        )  # fmt: skip
        print(f"{name:26} {mean:.4f} +- {np.std(aucs):.4f} over folds", file=sys.stderr)
    return out


def main() -> None:
    """Runs the benchmark and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one division into folds, not three")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    if not a.csv.is_file():
        parser.error(f"{a.csv} is not there: get the set from UCI, and name it with --csv")
    began = time.monotonic()
    found = figures(a.csv, a.seed, 1 if a.quick else 3)
    seconds = round(time.monotonic() - began, 1)
    more = {"simulated": False, "seed": a.seed, "seconds": seconds}
    tell(outcome("online_shoppers", a.quick, found) | more, a.out)


if __name__ == "__main__":
    main()
