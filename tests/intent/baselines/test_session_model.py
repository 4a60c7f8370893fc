"""What is fitted to session features: the same each time, and nothing from nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from intent.baselines import session_model
from intent.baselines.boosting import UNCHOSEN, boost
from intent.baselines.logistic import Preparation
from intent.baselines.session_model import fit, load
from intent.baselines.table import Table, share_of_users
from intent.config import ModelConfig
from intent.errors import IntentError
from intent.metrics import roc_auc

TASKS = ["realtime", "longterm"]
KINDS = ["gbdt", "logistic"]


def table(groups: int = 3000, users: int = 300, seed: int = 0) -> Table:
    """Five features of which two, and a category, tell something about the labels."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(1.0, 5.0, (groups, 5)).astype(np.float32)
    values[rng.random(groups) < 0.3, 1] = np.nan
    values[:, 4] = rng.integers(0, 4, groups)
    say = 0.3 * values[:, 0] - 0.2 * np.nan_to_num(values[:, 1], nan=9) + 2 * (values[:, 4] == 2)
    chance = 1 / (1 + np.exp(1 - say))
    labels = (rng.random(groups)[:, None] < np.stack([0.8 * chance, chance], axis=1)).astype(
        np.uint8
    )
    names = rng.integers(0, users, groups).astype(str).astype(object)
    return Table(
        ("a", "b", "c", "d", "e"), ("e",), values, labels, np.ones(groups, np.float32), names,
        np.arange(groups),
    )  # fmt: skip


def config(kind: str, **more) -> ModelConfig:
    return ModelConfig(kind=kind, **{"rounds": 60, "leaves": 7, "shrinkage": 0.1, **more})


def scores(model, data: Table) -> np.ndarray:
    return model.probabilities(data.values, data.names)


@pytest.fixture(scope="module")
def fitted():
    return {kind: fit(table(), TASKS, config(kind), seed=0)[0] for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_from_shuffled_labels_it_does_not(kind, fitted):
    known, asked = table(), table(seed=1)
    found = scores(fitted[kind], asked)
    assert found.shape == (3000, 2) and ((found > 0) & (found < 1)).all()
    # What was learnt from nothing still is some function of what tells something: judge the mean.
    by_lot = []
    for lot in range(12):
        mixed = np.random.default_rng(lot).permutation(known.labels)
        chance = scores(fit(replace(known, labels=mixed), TASKS, config(kind), seed=0)[0], asked)
        by_lot.append([roc_auc(chance[:, t], asked.labels[:, t]) for t in range(2)])
    assert abs(np.mean(by_lot) - 0.5) < 0.1, by_lot
    for t in range(2):
        assert roc_auc(found[:, t], asked.labels[:, t]) > 0.75
        assert abs(found[:, t].mean() - asked.labels[:, t].mean()) < 0.04  # a probability


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_says_the_same_to_the_bit(kind, fitted, tmp_path):
    fitted[kind].save(tmp_path)
    again, asked = load(tmp_path), table(seed=1)
    assert again.tasks == TASKS and again.kind == kind
    np.testing.assert_array_equal(scores(again, asked), scores(fitted[kind], asked))
    (tmp_path / "again").mkdir()
    again.save(tmp_path / "again")
    text = (tmp_path / session_model.NAME).read_text()
    assert (tmp_path / "again" / session_model.NAME).read_text() == text
    assert set(json.loads(text)["tasks"]["realtime"]["leading"]) <= set("abcde")


def test_a_torn_model_is_told(fitted, tmp_path):
    fitted["gbdt"].save(tmp_path)
    (tmp_path / "model-longterm.txt").unlink()
    with pytest.raises(IntentError, match="no whole model in .*train it anew"):
        load(tmp_path)
    with pytest.raises(IntentError, match="no whole model"):
        load(tmp_path / "nowhere")


def test_other_features_are_refused(fitted):
    data = table()
    with pytest.raises(IntentError, match="fitted to 5 features and is given 4"):
        fitted["gbdt"].probabilities(data.values[:, 1:], data.names[1:])


def trees(seed: int, data: Table | None = None) -> str:
    model, _ = fit(data or table(), TASKS, config("gbdt"), seed)
    return "".join(m.model_to_string() for m in model.of_task.values())


def test_the_same_seed_gives_the_same_trees_and_another_seed_others():
    assert trees(0) == trees(0) != trees(1)


def test_rounds_are_chosen_by_other_users_than_the_trees_are_grown_on():
    users = table().users
    chosen = share_of_users(users, 0.1, 0)
    assert 0.03 < chosen.mean() < 0.2
    assert not set(users[chosen]) & set(users[~chosen])
    order = np.random.default_rng(0).permutation(len(users))
    np.testing.assert_array_equal(share_of_users(users[order], 0.1, 0), chosen[order])
    assert (share_of_users(users, 0.1, 1) != chosen).any()


def test_rounds_end_when_others_gain_no_more():
    data = table()
    about = {"names": data.names, "categorical": data.categorical, "shrinkage": 0.3}
    chosen = share_of_users(data.users, 0.1, 0)
    model, curve = boost(data.values, data.labels[:, 0], chosen, rounds=900, **about)
    best = int(np.argmin(curve.loss_of_others)) + 1
    assert model.num_trees() == best < len(curve.loss) < 900
    assert curve.loss[-1] < curve.loss[0]


def test_where_nobody_can_choose_the_rounds_are_fixed():
    data = table()
    model, curve = boost(
        data.values, data.labels[:, 0], np.zeros(len(data.values), bool), names=data.names
    )
    assert model.num_trees() == UNCHOSEN and not curve.loss


def test_weights_count():
    data, heavy = table(), table()
    heavy = replace(heavy, weights=np.where(data.labels[:, 0] > 0, 5, 1).astype(np.float32))
    for kind in KINDS:
        plain, pulled = (fit(d, TASKS, config(kind), 0)[0] for d in (data, heavy))
        assert scores(pulled, data)[:, 0].mean() > 1.5 * scores(plain, data)[:, 0].mean()


def test_what_a_linear_model_reads():
    values = np.array([[0, np.nan, 1, 7], [3, 1, 0, 7], [8, 2, 1, 7]], np.float32)
    made = Preparation.of(values, list("abcd"), ["c"])
    columns = made(values)
    assert made.numbers == [0, 1] and made.gaps == [1]  # d says nothing
    np.testing.assert_allclose(columns[:, 0].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(columns[:, 0].std(), 1, atol=1e-6)
    np.testing.assert_allclose(columns[:, 1], [0, -1, 1], atol=1e-6)  # missing is the mean
    np.testing.assert_array_equal(columns[:, 2:], [[1, 0, 1], [0, 1, 0], [0, 0, 1]])
    unseen = made(np.array([[0, 1, 9, 7]], np.float32))
    np.testing.assert_array_equal(unseen[0, 3:], [0, 0])
    again = Preparation.from_dict(json.loads(json.dumps(made.to_dict())))
    np.testing.assert_array_equal(again(values), columns)


def test_one_class_is_told_by_the_linear_model_and_learnt_by_trees():
    data = table()
    none = replace(data, labels=np.zeros_like(data.labels))
    with pytest.raises(IntentError, match="all 3000 labels to learn from are 0"):
        fit(none, TASKS, config("logistic"), 0)
    model, _ = fit(none, TASKS, config("gbdt", rounds=3), 0)
    assert scores(model, data).max() < 0.01
