"""Each row of Table 4 removes exactly what it says: the same weights, less some, and the function.

What is removed is looked up by the names of weights; what that does to the scores is shown by
handing the whole model's weights to the variant.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.models.losses import step_loss
from tests.intent.groups import lengths, random_fusion, random_groups, small_schema
from tests.reference import dipn_numpy as reference
from tests.reference.from_model import dense, gru_weights, table_weights
from tests.support.variants import (
    TABLE_4,
    by_path,
    hand_over,
    logits,
    make,
    outputs_of,
    read_by_branches,
)

SCHEMA = small_schema(length=6)
VIEWS = [v.name for v in SCHEMA.views]
TASKS = [t.name for t in SCHEMA.tasks]
HIDDEN, ACTION = 4, 5  # of variants.make
COUNTS = [6, 0, {"swipe": 6, "tap": 3, "browse": 1}, {"tap": 5}, {"swipe": 2, "browse": 4}, 1]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def models() -> dict[str, keras.Model]:
    """Every row of Table 4 under the weights of the whole model, as far as it has them."""
    found = {row: make(SCHEMA, **settings) for row, settings in TABLE_4.items()}
    for row, model in found.items():
        if row != "early_fusion":
            hand_over(found["dipn"], model)
    return found


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    groups = random_groups(SCHEMA, COUNTS)
    return groups | {"fusion": random_fusion(SCHEMA, groups)}


def gru_paths(name: str) -> set[str]:
    parts = ("kernel", "recurrent_kernel", "bias")
    return {
        f"{name}_bigru/{way}/gru_cell/{part}" for way in ("forward", "backward") for part in parts
    }


W_A = {f"{view}_intra_view/w_a" for view in VIEWS}
LONGTERM = {f"longterm/{of}/{part}" for of in ("fc_0", "logit") for part in ("kernel", "bias")}


@pytest.mark.parametrize(
    ("row", "removed", "added"),
    [
        ("dipn", set(), set()),
        ("no_inter_view", set(), set()),  # equation (4) has no weights
        ("no_intra_view", W_A, set()),
        ("no_attention", W_A, set()),
        ("no_multi_task", LONGTERM, set()),
        (
            "early_fusion",
            W_A.union(*map(gru_paths, VIEWS)),
            gru_paths("fusion") | {"fusion_intra_view/w_a"},
        ),
    ],
)
def test_the_weights_are_those_of_the_whole_model_less_what_is_removed(models, row, removed, added):
    whole, part = by_path(models["dipn"]), by_path(models[row])
    assert whole.keys() - part.keys() == removed
    assert part.keys() - whole.keys() == added
    differ = {path for path in whole.keys() & part.keys() if whole[path] != part[path]}
    narrower = {f"{task}/fc_0/kernel" for task in TASKS} if row == "early_fusion" else set()
    assert differ == narrower
    for view in VIEWS:  # early fusion: one of what there were three of
        if row == "early_fusion":
            for path in gru_paths(view):
                assert part[path.replace(view, "fusion")] == whole[path]


def test_numbers_of_parameters(models):
    d, count = HIDDEN, {row: model.count_params() for row, model in models.items()}
    assert count["no_inter_view"] == count["dipn"]
    assert count["dipn"] - count["no_intra_view"] == 3 * 2 * d * d
    assert count["no_attention"] == count["no_intra_view"]
    gru = 2 * (ACTION * 3 * d + d * 3 * d + 2 * 3 * d)  # both directions, two biases
    fewer = 2 * (SCHEMA.length * 2 * d) + 2 * 2 * d  # two flattened windows, two pairs of states
    width = len(TASKS) * 6  # what the branches make of each
    assert count["dipn"] - count["early_fusion"] == 2 * (gru + 2 * d * d) + fewer * width
    z = max(columns.stop for columns in read_by_branches(models["dipn"]).values())
    assert count["dipn"] - count["no_multi_task"] == (z + 1) * 6 + 6 + 1


@pytest.mark.parametrize("row", [row for row in TABLE_4 if row != "dipn"])
def test_what_is_removed_was_worth_something(models, inputs, row):
    """Negative control: no variant is the whole model by another name."""
    whole, part = logits(models["dipn"], inputs)[:, :1], logits(models[row], inputs)[:, :1]
    same = row == "no_multi_task"  # which changes what is learnt, not what is computed
    assert np.allclose(whole, part, **CLOSE) == same


def test_no_inter_view_attention_puts_the_v_in_the_place_of_the_r(models, inputs):
    v = outputs_of(models["dipn"], [f"{view}_intra_view" for view in VIEWS], inputs)
    flat = outputs_of(models["no_inter_view"], [f"{view}_flat" for view in VIEWS], inputs)
    for one, laid in zip(v, flat, strict=True):
        np.testing.assert_array_equal(laid, one.reshape(len(one), -1))
    assert read_by_branches(models["no_inter_view"]).keys() - read_by_branches(
        models["dipn"]
    ).keys() == {f"{view}_flat/0" for view in VIEWS}


def test_without_inter_view_attention_no_view_depends_on_another():
    """With one layer only after flattening, what two views change together is the sum of both."""

    def together(**settings) -> float:
        model = make(SCHEMA, branch_units=[], **settings)
        one, two = (random_groups(SCHEMA, [6, 4, 3], seed) for seed in (1, 2))
        corners = [(one, one), (one, two), (two, one), (two, two)]
        mixed = [{**one, "swipe": s["swipe"], "browse": b["browse"]} for s, b in corners]
        stacked = {name: np.concatenate([m[name] for m in mixed]) for name in one}
        a, b, c, d = logits(model, stacked).reshape(4, 3, 2)
        return float(np.abs(a - b - c + d).max())

    assert together(inter_view=False) < 1e-5
    assert together(inter_view=False, intra_view=False) < 1e-5
    assert together() > 1e-3 and together(intra_view=False) > 1e-3


def test_no_intra_view_attention_takes_the_states_as_they_are(models, inputs):
    """v = h; so nothing at an action depends on later ones, where attention looks at the last."""
    h = outputs_of(models["dipn"], [f"{view}_bigru" for view in VIEWS], inputs)
    flat = outputs_of(models["no_attention"], [f"{view}_flat" for view in VIEWS], inputs)
    for one, laid in zip(h, flat, strict=True):
        np.testing.assert_array_equal(laid, one.reshape(len(one), -1))
    later = {k: v.copy() for k, v in inputs.items()}
    page = later["tap"][0, 5, 1]
    later["tap"][0, 5, 1] = page + 1 if page < 40 else 1
    for row, depends in (("no_attention", False), ("no_inter_view", True)):
        before, after = (
            outputs_of(models[row], ["tap_flat"], x)[0].reshape(-1, 6, 2 * HIDDEN)[0, :5, :HIDDEN]
            for x in (inputs, later)
        )
        assert np.all(np.abs(before - after).max(axis=1) > 1e-6) == depends
        assert np.array_equal(before, after) != depends


def test_attention_to_one_action_is_none(models):
    """Where each view has one action, equation (2) gives 1 whatever W_a."""
    single = random_groups(SCHEMA, [1, {"swipe": 1}, {"tap": 1, "browse": 1}])
    expected = logits(models["dipn"], single)
    np.testing.assert_allclose(logits(models["no_intra_view"], single), expected, **CLOSE)


@pytest.mark.parametrize("count", [2, 5, 6])
def test_even_attention_is_none_but_for_its_scale(count):
    """W_a = 0 pays each of n actions 1 / n: n times those rows of the branches undo it."""
    whole = make(SCHEMA, inter_view=False)
    part = make(SCHEMA, inter_view=False, intra_view=False)
    hand_over(whole, part)
    groups = random_groups(SCHEMA, [count] * 4)
    assert not np.allclose(logits(whole, groups), logits(part, groups), **CLOSE)
    for view in VIEWS:
        layer = whole.get_layer(f"{view}_intra_view")
        layer.w_a.assign(np.zeros(layer.w_a.shape))
    rows = read_by_branches(whole)
    for task in TASKS:
        kernel = whole.get_layer(task).hidden[0].kernel
        value = kernel.numpy()
        for view in VIEWS:
            value[rows[f"{view}_flat/0"]] *= count
        kernel.assign(value)
    np.testing.assert_allclose(logits(whole, groups), logits(part, groups), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reset_after", [True, False])
def test_early_fusion_is_one_bigru_and_equation_3_over_all_actions_by_time(reset_after):
    """Against the pieces of the NumPy reference; the actions are sorted by Python here."""
    model = make(SCHEMA, early_fusion=True, reset_after=reset_after)
    counts = [{"swipe": 6, "tap": 3, "browse": 1}, 4, 0, {"browse": 2}]
    groups = random_groups(SCHEMA, counts)
    # As in tests.intent.groups.random_fusion, whose times are drawn from the same seed.
    fused = groups | {"fusion": random_fusion(SCHEMA, groups)}
    rng = np.random.default_rng(0)
    times = [np.sort(rng.integers(0, 1000, (len(counts), SCHEMA.length)), axis=1) for _ in VIEWS]
    got, numbers = logits(model, fused), lengths(SCHEMA, groups)
    for row in range(len(counts)):
        actions = [
            (times[v][row, i], v, i) for v in range(len(VIEWS)) for i in range(numbers[v][row])
        ]
        latest = sorted(actions)[-SCHEMA.length :]
        merged, real = np.zeros((SCHEMA.length, ACTION), np.float32), np.zeros(SCHEMA.length, bool)
        for place, (_, v, i) in enumerate(latest):
            layer = model.get_layer(f"{VIEWS[v]}_embedding")
            merged[place] = embedded(layer, SCHEMA.views[v].features, groups[VIEWS[v]][row, i])
            real[place] = True
        gru = model.get_layer("fusion_bigru")
        ways = {"forward": gru_weights(gru.forward_gru), "backward": gru_weights(gru.backward_gru)}
        h, forward, backward = reference.bigru(merged, real, ways)
        w_a = model.get_layer("fusion_intra_view").w_a.numpy()
        v = reference.intra_attention(h, forward, real, w_a)
        context = [
            embedded(model.get_layer(f"{s}_context"), getattr(SCHEMA, s), groups[s][row])
            for s in ("history", "profile")
        ]
        z = np.concatenate([v.ravel(), *context, forward, backward])
        for task in TASKS:
            branch = model.get_layer(task)
            first, last = dense(branch.hidden[0]), dense(branch.logit)
            expected = reference.dense(reference.relu(reference.dense(z, first)), last)[0]
            assert abs(got[row, TASKS.index(task)] - expected) < 1e-5 * max(1, abs(expected))


def embedded(layer, features, ids: np.ndarray) -> np.ndarray:
    """The fully connected layer over the embeddings of one action, or of a group's context."""
    names = [f.name for f in features]
    vector = reference.embed(ids, names, table_weights(layer.lookup), np.float32)
    return reference.relu(reference.dense(vector, dense(layer.fc)))


@pytest.mark.parametrize("task", TASKS)
def test_a_single_task_has_the_scores_and_the_gradients_of_its_own_loss(models, inputs, task):
    """Equation (6) is a sum: with the other task weighing nothing, the whole model learns alike."""
    whole, one = models["dipn"], make(SCHEMA, tasks=[task])
    hand_over(whole, one)
    labels = np.array([[0, 1], [1, 1], [0, 0], [0, 1], [1, 1], [0, 0]])
    other = next(name for name in TASKS if name != task)

    def learn(model, weights):
        with tf.GradientTape() as tape:
            found = model({name: inputs[name] for name in model.input})
            loss = step_loss(found, labels, np.ones(6), 6, TASKS, weights)
        values = [v.value for v in model.trainable_variables]
        gradients = tape.gradient(loss, values)
        named = zip(model.trainable_variables, gradients, strict=True)
        return (
            found[task].numpy(),
            float(loss),
            {v.path: tf.convert_to_tensor(g).numpy() for v, g in named},
        )

    scores, loss, gradients = learn(one, {})
    expected_scores, expected_loss, expected = learn(whole, {other: 0.0})
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-6, atol=1e-6)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[path], rtol=1e-4, atol=1e-6, err_msg=path)
    for path in expected.keys() - gradients.keys():
        assert path.startswith(other) and not expected[path].any()
