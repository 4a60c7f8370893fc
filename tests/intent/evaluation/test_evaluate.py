from __future__ import annotations

import json

import numpy as np
import pytest

from intent import metrics
from intent.errors import IntentError
from intent.evaluation.evaluate import curves, evaluate
from intent.samples.undersampling import weights
from intent.schema import TASKS


def shop(seed=0, users=300, groups=8, noise=0.0):
    """Probabilities that are true (up to `noise`), labels drawn from them, names of users."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.normal(-2.5, 1, users), groups)
    logits = np.stack([level - 0.7, level + 0.7], axis=1) + rng.normal(0, 0.5, (len(level), 2))
    truth = 1 / (1 + np.exp(-logits))
    labels = (rng.random(truth.shape) < truth).astype(np.uint8)
    said = 1 / (1 + np.exp(-(logits + noise)))
    names = np.repeat([f"u{i}" for i in range(users)], groups)
    return {"realtime": said[:, 0], "longterm": said[:, 1]}, labels, names


def test_every_figure_and_plain_json():
    scores, labels, users = shop()
    result = evaluate(scores, labels, users, TASKS, resamples=100)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["groups"], result["users"], result["notes"]) == (2400, 300, [])
    for t, task in enumerate(("realtime", "longterm")):
        p, y = scores[task], labels[:, t]
        expected = {
            "pr_auc": metrics.pr_auc(p, y),
            "base_rate": y.mean(),
            "mean_score": p.mean(),
            "log_loss": metrics.log_loss(p, y),
            "log_loss_base_rate": metrics.entropy(y.mean()),
            "brier": metrics.brier(p, y),
        }
        found = {name: result[name][task] for name in expected}
        found["auc"], expected["auc"] = result[f"auc_{task}"], metrics.roc_auc(p, y)
        for name, estimate in found.items():
            assert estimate["value"] == pytest.approx(expected[name]), name
            assert estimate["ci95"][0] < estimate["value"] < estimate["ci95"][1], name
        assert result["positives"][task] == y.sum()
        assert result["calibration_error"][task]["value"] == metrics.calibration(p, y)["error"]


@pytest.mark.slow
def test_intervals_of_every_figure_cover_the_truth_as_often_as_they_say():
    """The truth is what 100,000 users give; a trial has 150 users, of 8 groups that are alike."""
    names = ("pr_auc", "base_rate", "mean_score", "log_loss", "brier")

    def figures(result: dict) -> dict:
        aucs = {("auc", t): result[f"auc_{t}"] for t in ("realtime", "longterm")}
        return aucs | {(n, t): result[n][t] for n in names for t in ("realtime", "longterm")}

    whole = evaluate(*shop(seed=10**6, users=100_000, noise=0.5), TASKS, resamples=2)
    truth = {key: figure["value"] for key, figure in figures(whole).items()}
    trials, covered = 100, {unit: dict.fromkeys(truth, 0) for unit in ("users", "groups")}
    for seed in range(trials):
        scores, labels, users = shop(seed=seed, users=150, noise=0.5)
        for unit, of in (("users", users), ("groups", np.arange(len(users)))):
            for key, figure in figures(evaluate(scores, labels, of, TASKS, resamples=200)).items():
                low, high = figure["ci95"]
                covered[unit][key] += low <= truth[key] <= high
    # 95 % nominal; two standard errors of 100 trials are 4.4 points, and there are twelve figures.
    assert min(covered["users"].values()) >= 85, covered["users"]
    assert 0.90 <= np.mean(list(covered["users"].values())) / trials <= 0.98, covered["users"]
    # Control: groups taken for independent. A user's level makes most of a mean score's spread.
    assert max(n for (name, _), n in covered["groups"].items() if name == "mean_score") < 75


def test_calibration_error_beside_what_chance_would_show():
    honest = evaluate(*shop(), TASKS, resamples=100)
    error = honest["calibration_error"]["longterm"]
    assert 0.5 < error["value"] / error["by_chance"] < 2
    off = evaluate(*shop(noise=1.0), TASKS, resamples=100)
    error = off["calibration_error"]["longterm"]
    assert error["value"] > 4 * error["by_chance"]
    inside = [
        low <= predicted <= high
        for predicted, (low, high) in zip(
            honest["calibration"]["longterm"]["predicted"],
            honest["calibration"]["longterm"]["ci95"],
            strict=True,
        )
    ]
    assert sum(inside) >= 7


def test_shuffled_labels_fall_to_chance():
    scores, labels, users = shop()
    shuffled = np.random.default_rng(1).permutation(labels)
    low, high = evaluate(scores, shuffled, users, TASKS, resamples=200)["auc_realtime"]["ci95"]
    assert low < 0.5 < high
    assert evaluate(scores, labels, users, TASKS, resamples=200)["auc_realtime"]["ci95"][0] > 0.6


def test_figures_of_thinned_negatives_are_those_of_all_groups():
    scores, labels, users = shop(users=6000)
    negative = ~labels.any(axis=1)
    kept = ~negative | (np.random.default_rng(2).random(len(labels)) < 0.2)
    thinned = {task: p[kept] for task, p in scores.items()}
    w = weights(labels[kept], 0.2)
    every = evaluate(scores, labels, users, TASKS, resamples=50)
    found = evaluate(thinned, labels[kept], users[kept], TASKS, weights=w, resamples=50)
    plain = evaluate(thinned, labels[kept], users[kept], TASKS, resamples=50)
    assert found["groups"] == kept.sum() and found["positives"] == every["positives"]

    def figures(result):
        for task in ("realtime", "longterm"):
            yield f"auc {task}", result[f"auc_{task}"]
            for name in ("pr_auc", "base_rate", "mean_score", "log_loss", "brier"):
                yield f"{name} {task}", result[name][task]

    for (name, a), (_, b) in zip(figures(every), figures(found), strict=True):
        assert b["value"] == pytest.approx(a["value"], rel=0.05), name
        assert b["ci95"][0] < a["value"] < b["ci95"][1], name
    off = [
        b["value"] > 1.2 * a["value"]
        for (name, a), (_, b) in zip(figures(every), figures(plain), strict=True)
        if not name.startswith("auc")
    ]
    assert all(off)  # what would be said of them without weights
    for task in ("realtime", "longterm"):
        error = found["calibration_error"][task]
        assert error["value"] < 3 * error["by_chance"] < plain["calibration_error"][task]["value"]
        bins = found["calibration"][task]
        assert sum(bins["share"]) == pytest.approx(1) and sum(bins["groups"]) == kept.sum()
        base = found["base_rate"][task]["value"]
        points = curves(thinned, labels[kept], TASKS, w)[task]["pr"]
        assert points["precision"][-1] == pytest.approx(base)


def test_no_positives_is_said_in_words():
    scores, labels, users = shop()
    labels[:, 0] = 0
    result = evaluate(scores, labels, users, TASKS, resamples=20)
    assert result["auc_realtime"] == {"value": None, "ci95": None}
    assert result["pr_auc"]["realtime"]["value"] is None
    assert result["base_rate"]["realtime"] == {"value": 0, "ci95": None}
    assert result["auc_longterm"]["value"] > 0.6
    assert len(result["notes"]) == 1
    assert "realtime: none of 2,400 groups has a purchase" in result["notes"][0]
    json.dumps(result, allow_nan=False)
    assert curves(scores, labels, TASKS)["realtime"]["roc"] == {"fpr": [], "tpr": []}


def test_too_few_users_or_buyers_for_an_interval():
    scores, labels, users = shop(users=4)
    result = evaluate(scores, labels, users, TASKS)
    assert result["log_loss"]["longterm"]["ci95"] is None
    assert any("4 users" in note for note in result["notes"])
    scores, labels, users = shop(users=40)
    labels[:] = 0
    labels[0] = 1
    result = evaluate(scores, labels, users, TASKS, resamples=50)
    assert result["auc_realtime"]["ci95"] is None
    assert "only 1 of 320 groups are positive" in result["notes"][0]
    result = evaluate(scores, 1 - labels, users, TASKS, resamples=50)
    assert result["pr_auc"]["realtime"]["ci95"] is None
    assert "only 1 of 320 groups are negative" in result["notes"][0]


def test_only_the_tasks_of_the_model():
    scores, labels, users = shop()
    one = {"realtime": scores["realtime"]}
    result = evaluate(one, labels[:, :1], users, TASKS[:1], resamples=20)
    assert "auc_longterm" not in result and set(result["pr_auc"]) == {"realtime"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, y, u: (s, y[:, 0], u), "expected .groups, 2."),
        (lambda s, y, u: (s, y[:0], u[:0]), "no groups to evaluate"),
        (lambda s, y, u: ({"realtime": s["realtime"]}, y, u), "no scores for the task longterm"),
        (lambda s, y, u: (s, y, u[:-1]), "2399 users"),
    ],
)
def test_arguments_that_do_not_fit(change, message):
    with pytest.raises(IntentError, match=message):
        evaluate(*change(*shop()), TASKS, resamples=5)
