"""The figures of the benchmark of scaling, with their goals; a quick run judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import median, quantiles

from benchmarks.workers.ring import Network, Step, batch_for, efficiency, tree_s
from benchmarks.workers.stages import OTHERS, Turn

WORKERS = (8, 32, 100, 512)
GIGABITS = (10, 25, 100)
LATENCIES_US = (10, 25, 50, 100)
LATENCY_S = 50e-6  # of a send by TCP between two machines of a data center, see the page
FIGURES_BYTES = 16 * 1024  # of the figures at most: two histograms
BATCH = 128  # groups of a worker in a step: TrainConfig.batch_size over two ranks
EVERY = (500, 100)
PER_HOST = 8


def rate(turns: Sequence[Turn]) -> list[float]:
    """Groups a second, turn by turn."""
    return [t["rate"] for t in turns]


def over(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ratios, turn by turn."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float]) -> float:
    """Half the distance of the quartiles, over the median; 0 of one value."""
    if len(values) < 2:
        return 0.0
    low, _, high = quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / median(values)


def two_ranks(turns: dict) -> dict[str, list[float]]:
    """Turn by turn: efficiency of two ranks, of two processes side by side, of the elastic job
    over the static one, and of the CPU time that a group takes, who waits for another not counted.

    Where the second core had no rank of its own, the first stands for it.
    """
    first, static = turns["alone_0"], turns["static"]
    second = turns.get("alone_1", first)
    singles = [a + b for a, b in zip(rate(first), rate(second), strict=True)]
    cpu = [[t["cpu_s"] / t["groups"] for t in some] for some in (first, second, static)]
    found = {
        "efficiency": over(rate(static), singles),
        "elastic": over(rate(turns["elastic"]), rate(static)),
        "by_cpu": [(a + b) / 2 / c for a, b, c in zip(*cpu, strict=True)],
    }
    for name in OTHERS:
        if name in turns:
            found[name] = over(rate(turns[name]), rate(static))
    if "side_by_side" in turns:
        side = rate(turns["side_by_side"])
        found |= {"machine": over(side, singles), "against_machine": over(rate(static), side)}
    return found


def elastic_cpu(turns: Sequence[Turn]) -> float:
    """CPU of the supervisor and of both workers' heartbeats, as a share of both cores."""
    spent = sum(t["supervisor_s"] + t["heartbeat_s"] for t in turns)
    return spent / (2 * sum(t["seconds"] for t in turns))


def checkpoint(found: dict, steps: int, saves: int) -> dict:
    """Seconds that a checkpoint adds to training, and its share at every 500 and 100 steps.

    From turns of `steps` steps with `saves` checkpoints and without any.
    """
    runs = found["checkpoints"]
    pairs = zip(runs["with"], runs["without"], strict=True)
    cost = median((a["seconds"] - b["seconds"]) / saves for a, b in pairs)
    step = median(t["seconds"] / steps for t in runs["without"])
    return {"cost_s": cost, "step_s": step, **{n: cost / (n * step) for n in EVERY}}


def costs(sums: dict) -> tuple[float, float]:
    """(seconds of the smallest sum over two ranks, seconds a byte of the largest), as measured."""
    lengths = sorted((int(length), seconds) for length, seconds in sums.items())
    (small, fixed), (large, whole) = lengths[0], lengths[-1]
    return fixed, max(0.0, (whole - fixed) / (large - small))


def step_of(found: dict, head: int | None, rows: int) -> Step:
    """A step for `ring.efficiency`, from what was measured."""
    one = found["steps"][head]
    fixed, _ = costs(found["sums"])
    return Step(
        median(one["times"][rows]), 4 * one["parameters"] + FIGURES_BYTES, one["sums"], fixed
    )


def network(found: dict, gigabits: float, latency_s: float = LATENCY_S) -> Network:
    """Links of so many Gb/s between machines whose cores are as this one's."""
    return Network(gigabits * 1e9, latency_s, costs(found["sums"])[1])


def predictions(found: dict) -> list[dict]:
    """Predicted efficiency of every head, batch, number of workers and link."""
    return [
        {"head": head, "rows": rows, "gigabits": gigabits, "workers": workers,
         "ring": efficiency(workers, step_of(found, head, rows), network(found, gigabits)),
         "tree": efficiency(workers, step_of(found, head, rows), network(found, gigabits),
                            lambda *a: tree_s(*a, PER_HOST))}
        for head, one in found["steps"].items()
        for rows in one["times"] for gigabits in GIGABITS for workers in WORKERS
    ]  # fmt: skip


def enough(found: dict, head: int | None, workers: int, gigabits: float) -> int | None:
    """Groups of a worker in a step from which on 0.90 is predicted."""
    times = [(rows, median(t)) for rows, t in found["steps"][head]["times"].items()]
    step = step_of(found, head, times[0][0])
    rows = batch_for(0.9, workers, network(found, gigabits), times, step)
    return None if rows is None else ceil(rows)


def figures(found: dict, size, quick: bool) -> list[dict]:
    """Names, values, units, goals; a value is null where it was not measured."""
    out: list[dict] = []

    def note(name: str, value: float | None, unit: str, goal: str | None = None, met=None) -> None:
        met = None if value is None or met is None or quick else bool(met)
        value = None if value is None else round(float(value), 6)
        out.append({"name": name, "value": value, "unit": unit, "goal": goal, "met": met})

    two = {name: median(each) for name, each in two_ranks(found["turns"]).items()}
    note("efficiency_two_ranks", two["efficiency"], "share", ">= 0.95", two["efficiency"] >= 0.95)
    saved = checkpoint(found, 3 * size.saves, size.saves)
    note("checkpoint_overhead", saved[500], "share", "< 0.02", saved[500] < 0.02)
    slower = 1 / two["elastic"] - 1
    note("elastic_overhead", slower, "share", "< 0.02", slower < 0.02)
    lost = found["recovery"]
    for name, key, kind in (
        ("recovery_s", "step_s", "killed"), ("recovery_replaced_s", "both_s", "killed"),
        ("recovery_frozen_s", "step_s", "frozen"),
        ("recovery_frozen_replaced_s", "both_s", "frozen"),
    ):  # fmt: skip
        note(name, median(one[key] for one in lost[kind]) if lost[kind] else None, "s")
    rows = BATCH if BATCH in size.batches else size.batches[-1]
    for head in found["steps"]:
        step, net = step_of(found, head, rows), network(found, 25)
        value = efficiency(100, step, net)
        if head is None:
            note("predicted_efficiency_100_at_25gbps_wide_head", value, "share, predicted")
        else:
            note("predicted_efficiency_100_at_25gbps", value, "share, predicted", ">= 0.9",
                 value >= 0.9)  # fmt: skip
    note("machine_two_processes_side_by_side", two.get("machine"), "share")
    note("efficiency_two_ranks_against_side_by_side", two.get("against_machine"), "share")
    note("efficiency_two_ranks_by_cpu_time", two["by_cpu"], "share")
    note("elastic_cpu_share", elastic_cpu(found["turns"]["elastic"]), "share of both cores")
    note("checkpoint_s", saved["cost_s"], "s")
    note("checkpoint_overhead_every_100", saved[100], "share")
    server = found["server"]
    note("parameter_server_groups_over_horovod", server.get("ratio"), "x")
    return out
