"""What becomes a figure of scaling, and what meets its goal."""

from dataclasses import asdict

import pytest

from benchmarks.scaling import FULL, QUICK
from benchmarks.workers import report
from benchmarks.workers.figures import checkpoint, costs, elastic_cpu, figures, spread, two_ranks


def turn(rate, seconds=10.0, **more):
    return {"rate": rate, "seconds": seconds, "step_s": 0.5, "cpu_s": 9.0, "heartbeat_s": 0.02,
            "supervisor_s": 0.08, "groups": rate * seconds, **more}  # fmt: skip


def found(static=195.0, elastic=194.0, saved=10.1, step_s=0.8):
    times = {64: [step_s / 2] * 3, 128: [step_s] * 3}
    return {
        "size": asdict(FULL),
        "turns_kernels": True,
        "loopback_s": 2e-5,
        "turns": {
            "alone_0": [turn(100.0)] * 3,
            "alone_1": [turn(100.0)] * 3,
            "side_by_side": [turn(198.0)] * 3,
            "static": [turn(static)] * 3,
            "elastic": [turn(elastic)] * 3,
        },
        "idle": {"alone_0": 0.0, "static": 0.1},
        "in_loop": {"bytes_a_step": 3e6, "reduce_share": 0.02, "compute_share": 0.97},
        "checkpoints": {"with": [turn(1.0, saved)] * 3, "without": [turn(1.0, 9.9)] * 3},
        "sums": {1024: 0.001, 1024 + 10**6: 0.003},
        "steps": {
            4: {"parameters": 10**6, "sums": 2, "times": times},
            None: {"parameters": 7 * 10**6, "sums": 3, "times": times},
        },
        "recovery": {
            "killed": [{"met_s": 1.0, "step_s": s, "joined_s": 9.0, "both_s": 10.0, "which": i % 2}
                       for i, s in enumerate((2.0, 3.0, 7.0))],
            "frozen": [],
        },
        "server": {},
    }  # fmt: skip


def by_name(quick=False, **changes):
    return {f["name"]: f for f in figures(found(**changes), FULL, quick)}


def test_goals():
    good, bad = by_name(), by_name(static=185.0, elastic=180.0, saved=100.0, step_s=0.05)
    for name in ("efficiency_two_ranks", "checkpoint_overhead", "elastic_overhead",
                 "predicted_efficiency_100_at_25gbps"):  # fmt: skip
        assert good[name]["met"] is True and bad[name]["met"] is False, name
    assert good["efficiency_two_ranks"]["value"] == pytest.approx(0.975)
    assert good["elastic_overhead"]["value"] == pytest.approx(195 / 194 - 1, abs=1e-6)
    assert good["recovery_s"]["value"] == 3.0
    assert good["recovery_frozen_s"]["value"] is None


def test_a_quick_run_judges_nothing():
    assert {f["met"] for f in by_name(quick=True).values()} == {None}


def test_a_checkpoints_cost_is_that_of_one():
    saved = checkpoint(found(), steps=12, saves=4)
    assert saved["cost_s"] == pytest.approx(0.05)  # 0.2 s for four
    assert saved[500] == pytest.approx(0.05 / (500 * 9.9 / 12))
    assert saved[100] == pytest.approx(5 * saved[500])


def test_costs_of_a_sum():
    fixed, per_byte = costs(found()["sums"])
    assert fixed == 0.001 and per_byte == pytest.approx(2e-9)
    assert costs({1024: 0.003, 4096: 0.001})[1] == 0.0  # noise is no negative cost


def test_ratios_are_of_each_turn():
    turns = found()["turns"]
    turns["static"] = [turn(150.0), turn(200.0), turn(180.0)]
    assert two_ranks(turns)["efficiency"] == pytest.approx([0.75, 1.0, 0.9])
    del turns["side_by_side"], turns["alone_1"]  # a quick run has neither
    assert two_ranks(turns)["efficiency"] == pytest.approx([0.75, 1.0, 0.9])
    assert "machine" not in two_ranks(turns)
    assert elastic_cpu(turns["elastic"]) == pytest.approx(0.1 / 20)
    assert spread([1.0]) == 0 and spread([1.0, 2.0, 3.0]) == pytest.approx(0.25)


def test_the_page_calls_predictions_predictions():
    from benchmarks.outcome import outcome

    page = report.markdown(outcome("scaling", False, figures(found(), FULL, False)), found())
    assert "Predicted efficiency, wide head" in page
    assert "predicted_efficiency_100_at_25gbps | " in page and "share, predicted" in page
    assert "the older worker lost" in page


def test_the_page_says_what_failed():
    from benchmarks.outcome import outcome

    bad = found()
    bad["server"] = {"failed": "It did not run: no route"}
    bad["recovery"]["failed"] = ["killed 4: nobody came"]
    page = report.markdown(outcome("scaling", False, figures(bad, FULL, False)), bad)
    assert "It did not run: no route" in page and "did not go on: killed 4: nobody came" in page


def test_quick_is_smaller():
    assert QUICK.turns < FULL.turns and QUICK.small and not QUICK.ps_steps
    assert FULL.turns >= 5 and FULL.kills == 10 and FULL.freezes == 3
