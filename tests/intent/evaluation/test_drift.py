from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from intent.evaluation.drift import drift, drift_between, ks, psi
from intent.evaluation.further_words import drifted, moved
from intent.evaluation.predict import Predictions
from intent.schema import DAY_MS


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def day(rng, shift: float = 0.0, users: int = 300, groups: int = 4):
    """Scores of a day: a level of each user, the same on all days, and what the day adds."""
    level = np.repeat(np.random.default_rng(99).normal(-2, 1, users), groups)
    scores = sigmoid(level + rng.normal(shift, 0.5, len(level)))
    return scores, np.repeat(np.arange(users), groups).astype(str), np.ones(len(level))


def test_by_hand():
    p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    assert psi(p, q) == pytest.approx(-0.25 * math.log(0.5) + 0.25 * math.log(1.5))
    assert psi(p, p) == 0 and psi(p, q) == pytest.approx(psi(q, p))
    assert ks(p, q) == 0.25 and ks(p, p) == 0
    assert math.isfinite(psi(p, np.array([1.0, 0.0])))


def test_ks_is_scipy_s_up_to_its_bins():
    rng = np.random.default_rng(0)
    one, other = day(rng), day(rng, shift=0.4)
    found = drift_between(one, other, resamples=20)
    expected = stats.ks_2samp(one[0], other[0]).statistic
    assert found["ks"]["value"] == pytest.approx(expected, abs=0.006)


def test_a_shift_is_seen_and_luck_is_not():
    rng = np.random.default_rng(1)
    shifted = drift_between(day(rng), day(rng, shift=0.5))
    for name in ("psi", "ks"):
        assert shifted[name]["value"] > 2 * shifted[name]["by_chance"]
    above = {"psi": 0, "ks": 0}
    trials = 60
    for _ in range(trials):
        found = drift_between(day(rng, users=80), day(rng, users=80), resamples=100)
        for name in above:
            above[name] += found[name]["value"] > found[name]["by_chance"]
    # 5 % of 60 days are 3; more than 9 would come by in one of 300 such tests.
    assert max(above.values()) <= 9, above


def test_weights_count_and_equal_scores_do_no_harm():
    rng = np.random.default_rng(2)
    scores, users, ones = day(rng)
    low = scores < np.median(scores)
    thinned = ~low | (rng.random(len(scores)) < 0.25)
    put_right = np.where(low, 4.0, 1.0)[thinned]
    half = scores[thinned], users[thinned], put_right
    right = drift_between((scores, users, ones), half)
    wrong = drift_between((scores, users, ones), (*half[:2], ones[thinned]))
    assert right["psi"]["value"] < 0.05 < 0.3 < wrong["psi"]["value"]
    same = np.full(100, 0.1), np.arange(100).astype(str), np.ones(100)
    assert drift_between(same, same)["psi"] == {"value": 0.0, "by_chance": 0.0}


def predictions(days: list[tuple[int, tuple]]) -> Predictions:
    scores, users, weights = (np.concatenate([of[i] for _, of in days]) for i in range(3))
    return Predictions(
        {"realtime": scores},
        np.zeros((len(scores), 1), np.uint8),
        users,
        np.concatenate([np.full(len(of[0]), number * DAY_MS + 5) for number, of in days]),
        weights,
    )


def test_days_are_compared_with_a_training_day_or_with_the_first():
    rng = np.random.default_rng(3)
    held_out = predictions([(20_001, day(rng)), (20_002, day(rng, shift=1.0))])
    found = drift(held_out, predictions([(20_000, day(rng))]), resamples=50)
    assert (found["reference"], found["trained"]) == ("2024-10-04", True)
    assert [row["day"] for row in found["days"]] == ["2024-10-04", "2024-10-05", "2024-10-06"]
    assert found["days"][0]["drift"] is None and found["days"][1]["groups"] == 1200
    quiet, loud = (row["drift"]["realtime"]["psi"]["value"] for row in found["days"][1:])
    assert quiet < 0.05 < 0.25 < loud
    lines = drifted({"drift": found}, "realtime")
    assert len(lines) == 2 and "far more than chance" in lines[1]
    assert "knows the training day by heart" in lines[1]
    alone = drift(held_out, resamples=50)
    assert (alone["reference"], alone["trained"]) == ("2024-10-05", False)
    assert "by heart" not in drifted({"drift": alone}, "realtime")[0]
    single = drift(predictions([(20_001, day(rng))]))
    assert single["reference"] is None
    assert "Only one day" in drifted({"drift": single}, "realtime")[0]


def test_few_users_get_no_chance_level():
    rng = np.random.default_rng(4)
    found = drift_between(day(rng, users=6), day(rng, users=6))
    assert found["psi"]["by_chance"] is None
    assert "too few users" in moved(found["psi"]["value"], None)
    words = [moved(v, 0.01).split(":")[0] for v in (0.005, 0.05, 0.2, 0.5)]
    assert len(set(words)) == 4
