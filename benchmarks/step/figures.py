"""The figures of the training step's benchmark, with their goals; a quick run judges nothing."""

from __future__ import annotations

from statistics import median

from benchmarks.step import stages
from benchmarks.step.race import cpu_per_group, rate, speedup

SAME = 1e-4  # how far the loss of a step may be from ours
SMOOTH = 20  # steps that a loss curve is averaged over


def figures(found: dict, quick: bool) -> list[dict]:
    """Names, values, units, goals; a value is null where its variant did not run."""
    out: list[dict] = []

    def note(name: str, value: float | None, unit: str, goal: str | None = None, met=None) -> None:
        met = None if value is None or met is None or quick else bool(met)
        value = None if value is None else round(float(value), 7)
        out.append({"name": name, "value": value, "unit": unit, "goal": goal, "met": met})

    def ratio(name: str, runs: dict, ours: str, theirs: str, goal: float | None = None) -> None:
        there = ours in runs and theirs in runs
        value = speedup(runs[ours], runs[theirs]) if there else None
        note(name, value, "x", goal and f">= {goal}", goal and there and value >= goal)

    rival = found["rival"]
    for data, goals in (("full", (1.6, 2.5, 4)), ("shop", (None, None, None))):
        runs = found["training"][data]
        suffix = "" if data == "full" else f"_{data}"
        for name, ours, theirs, goal in (
            ("keras_float32", "ours", rival, goals[0]),
            ("keras_bfloat16", "ours_bfloat16", rival, goals[1]),
            ("pytorch", "ours", "torch", goals[2]),
            ("pytorch_compiled", "ours", "torch_compiled", None),
            ("keras_portable_form", "ours_portable", rival, None),
        ):
            ratio(f"speedup_over_{name}{suffix}", runs, ours, theirs, goal)
    short = found["short"]["runs"]
    plain = found["short"]["rival"]
    ratio("speedup_short_sequences", short, "ours_cut", plain, 5)
    ratio("speedup_short_sequences_not_cut", short, "ours", plain)
    ratio("speedup_short_sequences_portable_form", short, "ours_portable_cut", plain)
    ratio("speedup_short_sequences_over_own_padded_portable_form", short, "ours_cut",
          "ours_portable")  # fmt: skip
    for data, runs in found["training"].items():
        for name, of_variant in runs.items():
            note(f"groups_per_second_{data}_{name}", median(map(rate, of_variant)), "groups/s")
        for name, of_variant in runs.items():
            value = 1000 * median(map(cpu_per_group, of_variant))
            note(f"cpu_ms_per_group_{data}_{name}", value, "ms")
    for data, by_rows in found["inference"].items():
        for rows, runs in by_rows.items():
            for name, of_variant in runs.items():
                value = median(map(rate, of_variant))
                note(f"inference_groups_per_second_{data}_batch_{rows}_{name}", value, "groups/s")
    slopes = {n: stages.per_group(runs) for n, runs in found.get("memory", {}).items()}
    for name, slope in slopes.items():
        note(f"memory_per_group_{name}", slope, "MiB")
    if slopes:
        share = slopes["ours"] / slopes[rival]
        note("memory_per_group_to_keras", share, "share", "< 1", share < 1)
    for name, apart in found["losses"]["apart"].items():
        note(f"loss_difference_{name}", max(apart), "loss", f"<= {SAME}", max(apart) <= SAME)
    note("score_change_without_inter_view", found["losses"].get("without_r"), "probability")
    if "loud" in found:
        # A comparison that inter-view attention cannot change shows nothing of it: not judged.
        shows = found["loud"]["without_r"] > SAME
        for name, apart in found["loud"]["apart"].items():
            exact = name != "ours_bfloat16"
            met = max(apart) <= SAME if exact and shows else None
            goal = f"<= {SAME}" if exact else None
            note(f"loss_difference_loud_{name}", max(apart), "loss", goal, met)
        note("score_change_without_inter_view_loud", found["loud"]["without_r"], "probability")
    if "curves" in found:
        value, control = to_noise(found["curves"]), found["curves"]["float32"]["without_r"]
        note(
            "bfloat16_loss_to_noise", value, "share", "<= 1", value <= 1 if control > SAME else None
        )
        note("score_change_without_inter_view_curve", control, "probability")
    return out


def to_noise(curves: dict) -> float:
    """How far bfloat16's curve is from float32's, over how far another order of the groups is."""
    losses = {name: curve["losses"] for name, curve in curves.items()}
    apart, noise = (
        stages.deviation(losses["float32"], losses[name], SMOOTH)
        for name in ("bfloat16", "another order")
    )
    return apart / noise
