"""What becomes a figure, and what meets its goal."""

import pytest

from benchmarks.step.figures import figures, to_noise
from benchmarks.step.race import fastest, race, speedup
from benchmarks.step.stages import per_group


def runs(rate, turns=3):
    return [{"groups": 10, "seconds": 10 / rate, "cpu_s": 1.0, "each_s": [10 / rate]}] * turns


def found(ours=200, plain=100, **more):
    training = {"ours": runs(ours), "plain": runs(plain), **more}
    return {
        "rival": "plain",
        "training": {"full": training, "shop": training},
        "short": {"runs": {"ours_cut": runs(600), "plain": runs(100)}, "rival": "plain"},
        "inference": {"full": {1: {"ours": runs(50)}}},
        "losses": {"apart": {"plain": [0.0, 2e-4]}},
    }


def by_name(*args, quick=False):
    return {f["name"]: f for f in figures(found(*args), quick)}


def test_goals():
    good, bad = by_name(200, 100), by_name(150, 100)
    assert good["speedup_over_keras_float32"]["value"] == pytest.approx(2)
    assert good["speedup_over_keras_float32"]["met"] is True
    assert bad["speedup_over_keras_float32"]["met"] is False
    assert good["speedup_short_sequences"]["met"] is True
    assert good["loss_difference_plain"]["met"] is False  # 2e-4


def test_a_variant_that_did_not_run_is_null_and_meets_nothing():
    figure = by_name()["speedup_over_pytorch"]
    assert figure["value"] is None and figure["met"] is None and figure["goal"] == ">= 4"


def test_a_quick_run_judges_nothing():
    assert {f["met"] for f in by_name(200, 100, quick=True).values()} == {None}


def test_bfloat16_is_measured_against_the_noise():
    losses = [1.0] * 40
    curves = {
        "float32": {"losses": losses},
        "another order": {"losses": [x + 0.02 for x in losses]},
        "bfloat16": {"losses": [x + 0.01 for x in losses]},
    }
    assert to_noise(curves) == pytest.approx(0.5)


@pytest.mark.parametrize("control, met", [(0.0, None), (0.01, True)])
def test_what_cannot_see_inter_view_attention_is_not_judged(control, met):
    losses = [1.0, 1.5] * 20
    curve = {"losses": losses, "without_r": control}
    other = {"losses": [x + 0.1 for x in losses]}
    given = found() | {
        "loud": {"apart": {"plain": [1e-6]}, "without_r": control},
        "curves": {"float32": curve, "bfloat16": curve, "another order": other},
    }
    figure = {f["name"]: f["met"] for f in figures(given, False)}
    assert figure["bfloat16_loss_to_noise"] is met
    assert figure["loss_difference_loud_plain"] is met


def test_memory_is_a_slope():
    few, many = {"before_mib": 100, "peak_mib": 300}, {"before_mib": 110, "peak_mib": 1078}
    assert per_group({128: few, 512: many}) == pytest.approx((968 - 200) / 384)


def test_turns_go_to_and_fro():
    order = []
    calls = {n: (lambda n=n: order.append(n) or runs(1)[0]) for n in ("a", "b")}
    assert len(race(calls, 3)["a"]) == 3
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_the_fastest_is_the_rival():
    there = {"plain": runs(5), "plain_xla": runs(9)}
    assert fastest(there, ("plain", "plain_xla", "other")) == "plain_xla"
    assert fastest(there, ("other",)) is None
    assert speedup(runs(10), runs(5)) == pytest.approx(2)
