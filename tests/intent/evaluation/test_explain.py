"""What is said to have moved a score did move it: models made by hand, of which that is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from intent.config import ModelConfig
from intent.evaluation.explain import explain
from intent.evaluation.explain_page import write_explanation
from intent.evaluation.explain_table import show
from intent.evaluation.explain_words import by_effect, stands_out
from intent.models import build, dipn
from intent.samples import manifest as manifests
from intent.samples import peek
from intent.schema import BROWSE
from tests.support.build import DICTIONARIES, build_samples
from tests.support.raw_logs import random_logs

LENGTH = 16
CART = 4  # of the browse types
SIZES = {"hidden": 4, "action_width": 4, "context_width": 4, "branch_units": [6]}


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """(unit, index) of every group of some users."""
    root = tmp_path_factory.mktemp("samples")
    build_samples(root, random_logs(), length=LENGTH)
    manifest = manifests.load(root)
    days = [unit for i in range(4) for unit in peek.cuts_of(str(root), manifest, f"user-{i}")]
    return [(unit, index) for unit in days for index in range(unit.groups)]


def with_carts(groups, count: int):
    """A group whose browse window is full and has so many actions of this kind."""
    kind = BROWSE.column("type")
    for unit, index in groups:
        types = unit.inputs(np.array([index]))["browse"][0, :, kind]
        if types.all() and (types == CART).sum() == count:
            return unit, index
    raise AssertionError(f"no window with {count} of them")


def cart_decides(by: float) -> keras.Model:
    """log-odds -1, and `by` more where the browse window has a cart; of both tasks."""
    browse = keras.Input((LENGTH, BROWSE.width), dtype="uint16", name="browse")
    profile = keras.Input((6,), dtype="uint8", name="profile")
    carts = ops.equal(ops.cast(browse, "int32")[..., BROWSE.column("type")], CART)
    some = ops.max(ops.cast(carts, "float32"), axis=1)
    logit = by * some - 1 + 0 * ops.sum(ops.cast(profile, "float32"), axis=1)
    return keras.Model(
        {"browse": browse, "profile": profile}, {"realtime": logit, "longterm": -logit}
    )


CONFIG = ModelConfig(sources=["browse", "profile"])


@pytest.mark.parametrize("by", [3.0, -2.0])
def test_the_one_action_that_decides_is_on_top(groups, by):
    told = explain(cart_decides(by), *with_carts(groups, 1), DICTIONARIES, CONFIG).told
    effect = sigmoid(by - 1) - sigmoid(-1)
    assert told["scores"]["realtime"] == pytest.approx(sigmoid(by - 1), abs=1e-6)
    assert told["nothing"]["realtime"] == pytest.approx(sigmoid(-1), abs=1e-6)
    top, *rest = by_effect(told["views"]["browse"], "realtime")
    assert top["words"]["type"] == "cart" and top["text"].startswith("cart ")
    assert top["effect"]["realtime"] == pytest.approx(effect, abs=1e-6)
    assert top["effect"]["longterm"] == pytest.approx(-effect, abs=1e-6)
    assert len(rest) == LENGTH - 1
    assert all(abs(e) < 1e-6 for action in rest for e in action["effect"].values())
    moved = {(p["part"], p["name"]) for p in told["parts"] if abs(p["effect"]["realtime"]) > 1e-6}
    assert {("source", "browse"), ("kind", "cart")} <= moved
    assert {p for p in moved if p[0] != "recent"} == {("source", "browse"), ("kind", "cart")}
    assert told["pairs"] == [] and all(a["attention"] is None for a in told["views"]["browse"])
    assert list(told["views"]) == ["browse"] and "history" not in told and "profile" in told


def test_two_that_tell_the_same_hide_one_another_and_their_kind_does_not(groups):
    told = explain(cart_decides(3.0), *with_carts(groups, 2), DICTIONARIES, CONFIG).told
    assert all(abs(a["effect"]["realtime"]) < 1e-6 for a in told["views"]["browse"])
    (kind,) = [p for p in told["parts"] if (p["part"], p["name"]) == ("kind", "cart")]
    assert kind["count"] == 2
    assert kind["effect"]["realtime"] == pytest.approx(sigmoid(2) - sigmoid(-1), abs=1e-6)


def test_scores_are_put_right_for_the_negatives_that_were_left_out(groups):
    model, group = cart_decides(3.0), with_carts(groups, 1)
    raw, right = (
        explain(model, *group, DICTIONARIES, CONFIG, rate).told["scores"] for rate in (1.0, 0.1)
    )
    kept = 0.1 / (1 - 0.9 * raw["longterm"])
    for task, p in raw.items():
        assert right[task] == pytest.approx(p * kept, abs=1e-6) and right[task] < 0.9 * p


def drawn(model: keras.Model, spread: float = 1.0) -> keras.Model:
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(0, spread, w.shape))
    return model


def test_a_pair_of_views_has_the_effect_of_its_product(groups):
    """r of a pair set to 0 is what the model computes where one softmax attends to nothing."""
    unit, index = groups[-1]
    config = ModelConfig(**SIZES, intra_view=False)
    model = drawn(dipn.build(unit.schema, config), 0.5)
    found = explain(model, unit, index, DICTIONARIES, config)
    assert [tuple(p["views"]) for p in found.told["pairs"]] == list(dipn.PAIRS)
    inputs = unit.inputs(np.array([index]))
    whole = model({n: inputs[n] for n in model.input})
    for pair in found.told["pairs"]:
        layer = model.get_layer("_".join(pair["views"]) + "_inter_view")
        call = layer.call
        layer.call = lambda v, *rest, call=call: 0 * call(v, *rest)
        without = model({n: inputs[n] for n in model.input})
        layer.call = call
        for task, effect in pair["effect"].items():
            p, q = (sigmoid(float(logits[task][0])) for logits in (whole, without))
            assert effect == pytest.approx(p - q, abs=1e-5)
        assert max(abs(e) for e in pair["effect"].values()) > 1e-4
        assert stands_out(pair)
        for link in pair["links"]:
            of_v, of_u = (w[0] for w in found.attention.inter[tuple(pair["views"])])
            weights = of_u if link["from"]["view"] == pair["views"][0] else of_v
            assert link["weight"] == weights[link["from"]["index"], link["to"]["index"]]
            assert link["weight"] == pytest.approx(weights.max())
            break


@pytest.mark.parametrize("fusion", [False, True])
def test_attention_stands_beside_the_actions_that_got_it(groups, fusion):
    unit, index = groups[-1]
    config = ModelConfig(**SIZES, early_fusion=fusion)
    model = drawn(dipn.build(unit.schema, config), 0.3)
    told = explain(model, unit, index, DICTIONARIES, config).told
    inputs = unit.inputs(np.array([index]), fusion)
    logits = model({n: inputs[n] for n in model.input})
    for task, p in told["scores"].items():
        assert p == pytest.approx(sigmoid(float(logits[task][0])), abs=1e-5)
    actions = [a for view in told["views"].values() for a in view]
    weights = [a["attention"] for a in actions]
    assert len(actions) == 3 * LENGTH
    if not fusion:
        assert sum(weights) == pytest.approx(3, abs=1e-5)
        return
    assert sum(w for w in weights if w is not None) == pytest.approx(1, abs=1e-5)
    merged = sorted(actions, key=lambda a: a["time"])[-LENGTH:]
    left_out = [a for a in actions if a["attention"] is None]
    assert len(left_out) == 2 * LENGTH
    assert max(a["time"] for a in left_out) <= min(a["time"] for a in merged)
    assert all(abs(e) < 1e-6 for a in left_out for e in a["effect"].values())
    assert any(abs(e) > 1e-4 for a in merged for e in a["effect"].values())
    assert told["pairs"] == []


@pytest.mark.parametrize("sources", [["browse"], ["tap", "browse"], ["profile"], ["history"]])
def test_any_sources_can_be_shown_empty_windows_too(groups, sources, tmp_path, capsys):
    unit, index = next(
        (u, i) for u, i in groups if u.low["browse"][i] == u.end["browse"][i] < u.end["tap"][i]
    )
    config = ModelConfig(**SIZES, sources=sources)
    model = dipn.build(unit.schema, config)
    found = explain(model, unit, index, DICTIONARIES, config)
    assert sorted([*found.told["views"], *({"profile", "history"} & set(found.told))]) == sorted(
        sources
    )
    found.told.update({"source": "test", "notes": []})
    show(found, "realtime", 8)
    html = write_explanation(tmp_path / "page.html", found, "realtime", 8).read_text()
    out = capsys.readouterr().out
    for text in sources:
        assert text in out and text in html
    assert ("Pairs of views" in out) == ("Pairs of views" in html) == (len(sources) == 2)
    for pair in found.told["pairs"]:  # r is 0 already, for one of the two is empty
        assert pair["links"] == [] and set(pair["effect"].values()) == {0.0}
        assert "a view is empty" in out


@pytest.mark.parametrize(
    "kind", ["cnn", *(pytest.param(k, marks=pytest.mark.slow) for k in ("lstm", "rnn_dnn"))]
)
def test_a_baseline_is_explained_by_what_it_does_without_each_part(groups, kind, tmp_path, capsys):
    """It has no attention, and nobody claims any."""
    unit, index = with_carts(groups, 1)
    config = ModelConfig(**SIZES, kind=kind)
    model = drawn(build(unit.schema, config), 0.3)
    found = explain(model, unit, index, DICTIONARIES, config)
    told = found.told
    inputs = unit.inputs(np.array([index]))
    assert list(told["views"]) == ["browse"] and "history" in told and "profile" in told

    def scores(inputs):
        logits = model({n: inputs[n] for n in model.input}, training=False)
        return {task: sigmoid(float(logit[0])) for task, logit in logits.items()}

    whole, unknown = scores(inputs), scores(inputs | {"profile": 0 * inputs["profile"]})
    assert told["scores"] == pytest.approx(whole, abs=1e-5)
    (profile,) = [p for p in told["parts"] if p["part"] == "source" and p["name"] == "profile"]
    for task, effect in profile["effect"].items():
        assert effect == pytest.approx(whole[task] - unknown[task], abs=1e-5)
    actions = told["views"]["browse"]
    assert len(actions) == LENGTH and all(a["attention"] is None for a in actions)
    assert max(abs(a["effect"]["realtime"]) for a in actions) > 1e-4
    assert told["pairs"] == [] and not found.attention.intra and not found.attention.inter
    told.update({"source": "test", "notes": []})
    show(found, "realtime", 8)
    html = write_explanation(tmp_path / "page.html", found, "realtime", 8).read_text()
    for text in (html, capsys.readouterr().out):
        assert "Pairs of views" not in text and "ttention" not in text
