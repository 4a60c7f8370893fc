"""Does the simulated shop have the properties that it is meant to have?

Measures, on logs simulated afresh: actions per active day (Table 1), label rates, the AUC of a
quick gradient boosting probe on each source alone (Table 6) and on all, and what is gained by
features of order and across views; and how fast the shop is. Everything is about simulated data.

    python benchmarks/shop_probe.py [--quick] [--users 1000] [--days 8] [--rate 1] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import shop_features as f  # noqa: E402
from benchmarks.outcome import outcome, tell  # noqa: E402
from intent.schema import DAY_MS, HOUR_MS  # noqa: E402
from intent.simulate.parameters import SHOP  # noqa: E402
from intent.simulate.shop import simulate  # noqa: E402

TABLE_1 = {"browse": 42, "tap": 391, "swipe": 1583}
TABLE_6 = {"profile": 0.54, "browse": 0.65, "swipe": 0.67, "history": 0.73, "tap": 0.74}
LABELS = {"realtime": (0.05, HOUR_MS), "longterm": (0.18, DAY_MS)}
FOLDS = 3


def frequent(logs: Path, table: str, column: str, top: int) -> list[str]:
    """The most frequent values of a column, over a few parts."""
    files = sorted((logs / table).glob("*.parquet"))[:4]
    values = pq.read_table(files, columns=[column])[column].drop_null().value_counts().to_pylist()
    return [v["values"] for v in sorted(values, key=lambda v: -v["counts"])[:top]]


def measure(logs: Path, days: int, start_ms: int, per_day: int, seed: int) -> dict:
    """Features by source, labels, users and day numbers of all cuts; actions per active day."""
    names = {
        "touch": frequent(logs, "touch", "page", 40), "tap": frequent(logs, "tap", "page", 40),
        "browse": frequent(logs, "browse", "page", 30),
        "top": frequent(logs, "browse", "top_category", 15),
        "button": sorted({*frequent(logs, "tap", "button", 70), *f.STUDY}),
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    parts: dict[str, list] = {}
    actions, active = dict.fromkeys(TABLE_1, 0), 0
    end_ms = start_ms + days * DAY_MS
    for file in sorted((logs / "touch").glob("*.parquet")):
        cell = f.read_cell(logs, file.name)
        for user, touch in cell["touch"].items():
            tap, browse = (cell[t].get(user) for t in ("tap", "browse"))
            if tap is None or browse is None:
                continue
            active += len(np.unique(touch["timestamp"] // DAY_MS))
            for name, rows in (("swipe", touch), ("tap", tap), ("browse", browse)):
                actions[name] += len(rows["timestamp"])
            cuts = f.draw_cuts(touch["timestamp"], end_ms, per_day, rng)
            if not len(cuts):
                continue
            bought = browse["timestamp"][browse["type"] == "purchase"]
            profile = np.array([cell["profile"][user][c][0] for c in f.PROFILE], float)
            found = {
                "swipe": f.swipe_features(touch, cuts, names),
                "tap": f.tap_features(tap, cuts, names),
                "browse": f.browse_features(browse, cuts, names),
                "history": f.history_features(cell["history"].get(user), browse, cuts),
                "profile": np.tile(profile, (len(cuts), 1)),
                "order": f.order_features(tap, browse, cuts),
                "cross": f.cross_features(tap, browse, cuts),
                "order_mixed": f.order_features(tap, browse, cuts, rng),
                "cross_mixed": f.cross_features(tap, browse, cuts, rng),
                "user": np.full(len(cuts), int(user[1:])),
            }
            found |= {name: f.label(bought, cuts, span) for name, (_, span) in LABELS.items()}
            for name, values in found.items():
                parts.setdefault(name, []).append(np.asarray(values, np.float32))
    out = {name: np.concatenate(values) for name, values in parts.items()}
    out["per_day"] = {name: count / active for name, count in actions.items()}
    return out


def probe(data: dict, sources: list[str], task: str = "realtime") -> float:
    """AUC of gradient boosting on `sources`; nobody is scored by a model that saw her."""
    import lightgbm as lgb

    x, y = np.hstack([data[s] for s in sources]), data[task]
    fold = data["user"].astype(int) * 7919 % 101 % FOLDS
    score = np.zeros(len(y))
    settings = {
        "objective": "binary", "learning_rate": 0.08, "max_bin": 63,
        "num_leaves": 12, "min_data_in_leaf": 200, "feature_fraction": 0.5,
        "bagging_fraction": 0.6, "bagging_freq": 1, "lambda_l2": 20.0,
        "verbose": -1, "num_threads": 1, "seed": 0, "deterministic": True,
    }  # fmt: skip
    for k in range(FOLDS):
        train = lgb.Dataset(x[fold != k], y[fold != k])
        model = lgb.train(settings, train, num_boost_round=90)
        score[fold == k] = model.predict(x[fold == k])
    return float(np.mean([auc(score[fold == k], y[fold == k]) for k in range(FOLDS)]))


def auc(score: np.ndarray, y: np.ndarray) -> float:
    """Probability that a positive scores above a negative (ties count half)."""
    ranks = np.searchsorted(np.sort(score), score, side="left")
    ranks = (ranks + np.searchsorted(np.sort(score), score, side="right") + 1) / 2
    positive = y > 0
    n, m = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def figures(users: int, days: int, rate: float, seed: int, per_day: int, quick: bool) -> list[dict]:
    """Simulates and measures; one entry per property, with its goal and whether it is met.

    A quick run has too few purchases for an AUC to be near its expectation, so none is judged.
    """
    out = []

    def note(name: str, value: float, unit: str, goal: str | None = None, met=None) -> None:
        met = None if met is None or (quick and unit == "AUC") else bool(met)
        row = {
            "name": name,
            "value": round(float(value), 4),
            "unit": unit,
            "goal": goal,
            "met": met,
        }
        print(f"{name:32} {value:14.4f} {unit:8} {goal or '':14} {met}", file=sys.stderr)
        out.append(row)

    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder) / "logs"
        begun = time.process_time()
        summary = simulate(logs, users, days, seed, rate=rate)
        speed = summary["events"] / (time.process_time() - begun) * 60
        note("events_per_cpu_minute", speed, "events", ">= 5e6", speed >= 5e6)
        start_ms = int(np.datetime64(summary["start"], "ms").astype(np.int64))
        data = measure(logs, days, start_ms, per_day, seed)
    for name, value in data["per_day"].items():
        goal = TABLE_1[name] * (1 if name == "browse" else rate)
        near = abs(value / goal - 1) <= 0.1 if name == "browse" or rate == 1 else None
        note(f"{name}_per_active_day", value, "actions", f"{goal:g} +- 10 %", near)
    note("cuts", len(data["user"]), "cuts")
    for task, (goal, _) in LABELS.items():
        value = data[task].mean()
        note(f"label_rate_{task}", value, "share", f"about {goal}", abs(value / goal - 1) <= 0.25)
    for name, goal in TABLE_6.items():
        value = probe(data, [name])
        note(f"auc_{name}_alone", value, "AUC", f"{goal} +- 0.05", abs(value - goal) <= 0.05)
    every = list(TABLE_6)
    whole = probe(data, every)
    note("auc_aggregates_of_all", whole, "AUC")
    if quick:
        return out
    order, both = probe(data, [*every, "order"]), probe(data, [*every, "order", "cross"])
    note("auc_with_order", order, "AUC")
    note("auc_with_order_and_cross_view", both, "AUC")
    note("gain_order", order - whole, "AUC", "> 0.01", order - whole > 0.01)
    note("gain_cross_view", both - order, "AUC", "> 0.003", both - order > 0.003)
    mixed = probe(data, [*every, "order_mixed"]) - whole
    note("gain_order_mixed_up", mixed, "AUC", "< half", mixed < (order - whole) / 2)
    mixed = probe(data, [*every, "order", "cross_mixed"]) - order
    note("gain_cross_view_mixed_up", mixed, "AUC", "< half", mixed < (both - order) / 2)
    note("auc_longterm", probe(data, [*every, "order", "cross"], "longterm"), "AUC")
    return out


def main() -> None:
    """Runs the benchmark and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer users and cuts; ends within 60 s"
    )
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cuts", type=int, default=15, help="cuts per user and day")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    if a.quick:
        a.users, a.days, a.cuts = 192, 5, 8
    result = outcome(
        "shop_probe", a.quick, figures(a.users, a.days, a.rate, a.seed, a.cuts, a.quick),
        users=a.users, days=a.days, rate=a.rate, seed=a.seed, parameters_hash=SHOP.hash(),
    )  # fmt: skip
    tell(result, a.out)


if __name__ == "__main__":
    main()
