from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk

from intent.errors import IntentError
from intent.evaluation.compare import aligned, compare, verdict
from intent.evaluation.further_words import compared
from intent.evaluation.predict import Predictions


def shop(
    noise: float, users: int = 150, groups: int = 6, seed: int = 0, luck: int = 0
) -> Predictions:
    """A model that sees a user's level through `noise`, drawn with `luck`; groups are of `seed`."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.normal(0, 1, users), groups) + rng.normal(0, 0.3, users * groups)
    labels = np.stack([rng.random(len(level)) < sigmoid(level + c) for c in (-2.0, -0.5)], axis=1)
    seen = level + np.random.default_rng((seed, round(1000 * noise), luck)).normal(
        0, noise, len(level)
    )
    return Predictions(
        scores={"realtime": sigmoid(seen - 2.0), "longterm": sigmoid(seen - 0.5)},
        labels=labels.astype(np.uint8),
        users=np.repeat([f"u{i}" for i in range(users)], groups).astype(object),
        times=np.tile(np.arange(groups) * 1000, users),
        weights=np.ones(len(level)),
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_run_is_not_told_apart_from_itself():
    one = shop(0.5)
    result = compare(one, one, resamples=100)
    assert result["identical"] and json.loads(json.dumps(result, allow_nan=False)) == result
    for figures in result["tasks"].values():
        for figure in figures.values():
            assert figure["difference"] == {"value": 0.0, "ci95": [0.0, 0.0]}
            assert figure["p"] == 1.0 and figure["verdict"] == "not told apart"
            assert figure["a"] == figure["b"]
    assert list(compared(result)) == ["Both give every group the same score: it is the same model."]


def test_a_run_that_is_truly_better_is_told_apart_from_both_sides():
    good, bad = shop(0.1), shop(2.0)
    for first, second, said, sign in (
        (good, bad, "A is better", 1),
        (bad, good, "B is better", -1),
    ):
        result = compare(first, second, resamples=300)
        assert not result["identical"]
        for task, figures in result["tasks"].items():
            for name, figure in figures.items():
                assert figure["verdict"] == said and figure["p"] < 0.02, (task, name)
            assert sign * figures["auc"]["difference"]["value"] > 0.05
            assert sign * figures["log_loss"]["difference"]["value"] < 0
        assert any(said in line for line in compared(result))


def test_figures_that_say_otherwise_are_named_after_the_auc():
    result = compare(shop(1.0), shop(1.0, luck=1), resamples=100)
    for figures in result["tasks"].values():
        figures["auc"]["verdict"] = figures["pr_auc"]["verdict"] = "not told apart"
        figures["log_loss"]["verdict"] = "B is better"
    lines = list(compared(result))
    assert "longterm: but B is better by log loss, which also judges the probabilities." in lines
    assert not any("PR-AUC" in line for line in lines)


def test_two_models_that_differ_in_luck_alone_are_not_told_apart():
    """The negative control of the test above: other noise of one size."""
    told = {"auc": 0, "pr_auc": 0, "log_loss": 0}
    for seed in range(20):
        result = compare(shop(1.0, seed=seed), shop(1.0, seed=seed, luck=1), resamples=100)
        for name, figure in result["tasks"]["longterm"].items():
            told[name] += figure["verdict"] != "not told apart"
    # 5 % of 20 is 1; more than 4 would come by in one of 400 such tests.
    assert max(told.values()) <= 4, told
    assert any("not told apart" in line for line in compared(result))


def test_the_paired_interval_is_narrower_than_unpaired_ones():
    result = compare(shop(0.5), shop(0.52), resamples=300)["tasks"]["longterm"]["auc"]
    width = {side: np.ptp(result[side]["ci95"]) for side in ("a", "b", "difference")}
    assert width["difference"] < 0.6 * np.hypot(width["a"], width["b"])


def test_figures_equal_scikit_learn_and_the_order_of_rows_does_not_matter():
    a, b = shop(0.3), shop(1.0)
    result = compare(a, b, resamples=100)
    for t, task in enumerate(("realtime", "longterm")):
        y = a.labels[:, t]
        for name, judge in (
            ("auc", sk.roc_auc_score),
            ("pr_auc", sk.average_precision_score),
            ("log_loss", sk.log_loss),
        ):
            figure = result["tasks"][task][name]
            one, other = judge(y, a.scores[task]), judge(y, b.scores[task])
            assert figure["a"]["value"] == pytest.approx(one)
            assert figure["b"]["value"] == pytest.approx(other)
            assert figure["difference"]["value"] == pytest.approx(one - other)
    rng = np.random.default_rng(1)
    mixed = compare(*(p.where(rng.permutation(len(p.users))) for p in (a, b)), resamples=100)
    assert mixed == result


def test_other_groups_are_refused_with_how_many_are_common():
    one = shop(0.5)
    fewer = one.where(np.arange(len(one.users)) >= 10)
    with pytest.raises(IntentError, match="different groups: 900 and 890, of which 890 are common"):
        compare(one, fewer)
    later = replace(one, times=one.times + 1)
    with pytest.raises(IntentError, match="of which 0 are common"):
        compare(one, later)
    relabelled = replace(one, labels=1 - one.labels)
    with pytest.raises(IntentError, match="other labels or weights"):
        compare(one, relabelled)
    other_tasks = replace(one, scores={"weekly": one.scores["realtime"]}, labels=one.labels[:, :1])
    with pytest.raises(IntentError, match="no task in common: realtime, longterm and weekly"):
        compare(one, other_tasks)


def test_a_task_that_only_one_has_is_left_out_and_named():
    one = shop(0.5)
    short = replace(one, scores={"longterm": one.scores["longterm"]}, labels=one.labels[:, 1:])
    result = compare(one, short, resamples=100)
    assert list(result["tasks"]) == ["longterm"] and result["only_a"] == ["realtime"]
    assert result["only_b"] == [] and result["identical"]


def test_several_seeds_a_side_are_averaged():
    a, b = [shop(0.30), shop(0.31), shop(0.32)], [shop(1.0), shop(1.01)]
    result = compare(a, b, resamples=100)
    assert result["runs"] == {"a": 3, "b": 2}
    y = a[0].labels[:, 1]
    mean = np.mean([sk.roc_auc_score(y, p.scores["longterm"]) for p in a])
    assert result["tasks"]["longterm"]["auc"]["a"]["value"] == pytest.approx(mean)
    assert result["tasks"]["longterm"]["auc"]["verdict"] == "A is better"


def test_few_users_give_no_verdict():
    result = compare(shop(0.1, users=6), shop(2.0, users=6))
    auc = result["tasks"]["longterm"]["auc"]
    assert auc["difference"]["ci95"] is None and auc["p"] is None
    assert auc["verdict"] == "not told apart"
    assert any("too few users" in line for line in compared(result))


def test_few_buyers_among_many_users_give_no_verdict():
    a, b = shop(0.1), shop(2.0)
    labels = a.labels * np.isin(a.users, a.users[a.labels[:, 1] == 1][:4])[:, None]
    assert 0 < labels[:, 1].sum() and len(np.unique(a.users)) == 150
    auc = compare(*(replace(p, labels=labels) for p in (a, b)), resamples=100)["tasks"]["longterm"]
    assert auc["auc"]["verdict"] == "not told apart" and auc["auc"]["p"] is None
    assert auc["log_loss"]["difference"]["ci95"] is not None


def test_verdict_knows_what_is_better():
    above, below = {"ci95": [0.01, 0.02]}, {"ci95": [-0.02, -0.01]}
    assert verdict("auc", above) == verdict("log_loss", below) == "A is better"
    assert verdict("auc", below) == verdict("log_loss", above) == "B is better"
    assert verdict("auc", {"ci95": [0.0, 0.02]}) == verdict("auc", {"ci95": None})


def pair(rng, users: int, rho: float = 0.7):
    """Two models' scores of users of one group each, with known AUCs.

    Both are normal with a gap for buyers, and correlated; AUC is Phi(gap / sqrt(2)).
    """
    y = rng.random(users) < 0.4
    noise = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], users)
    gaps = np.array([1.2, 0.8])
    scores = sigmoid(noise + gaps * y[:, None])
    truth = norm.cdf(gaps / np.sqrt(2))
    made = [
        Predictions({"t": s}, y[:, None].astype(np.uint8), np.arange(users).astype(str),
                    np.zeros(users, np.int64), np.ones(users))
        for s in scores.T
    ]  # fmt: skip
    return made, truth[0] - truth[1]


def test_the_paired_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    trials, covered, unpaired = 150, 0, 0
    for trial in range(trials):
        (a, b), truth = pair(rng, 150)
        figure = compare(a, b, resamples=200, seed=trial)["tasks"]["t"]["auc"]
        low, high = figure["difference"]["ci95"]
        covered += low <= truth <= high
        # The negative control: an interval from the two figures as if they were independent.
        half = np.hypot(*(np.ptp(figure[side]["ci95"]) / 2 for side in ("a", "b")))
        unpaired += abs(figure["difference"]["value"] - truth) <= half
    # 95 % nominal, 150 trials: two standard errors are 3.6 points.
    assert 0.90 <= covered / trials <= 0.99
    assert unpaired / trials > 0.985, "which is wide where the models are alike"


def delong(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Standard error of the difference of two AUCs on independent groups (DeLong et al. 1988)."""

    def parts(s):
        x, z = s[y == 1], s[y == 0]
        wins = (x[:, None] > z) + 0.5 * (x[:, None] == z)
        return wins.mean(axis=1), wins.mean(axis=0)

    (v10a, v01a), (v10b, v01b) = parts(a), parts(b)
    return float(np.sqrt(
        np.var(v10a - v10b, ddof=1) / len(v10a) + np.var(v01a - v01b, ddof=1) / len(v01a)
    ))  # fmt: skip


def test_the_spread_of_the_difference_is_delong_s_where_every_group_has_a_user_of_its_own():
    (a, b), _ = pair(np.random.default_rng(3), 600)
    figure = compare(a, b, resamples=1000)["tasks"]["t"]["auc"]
    expected = 2 * 1.96 * delong(a.labels[:, 0], a.scores["t"], b.scores["t"])
    assert np.ptp(figure["difference"]["ci95"]) == pytest.approx(expected, rel=0.1)


def test_aligned_sorts_by_user_and_time():
    one = shop(0.5, users=12)
    back = one.where(np.arange(len(one.users))[::-1])
    first, second = aligned([one, back])
    assert (first.users == second.users).all() and (first.times == second.times).all()
    assert all((first.scores[t] == second.scores[t]).all() for t in first.scores)
