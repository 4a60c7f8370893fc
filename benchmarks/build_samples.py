"""How fast and how small is the sample job, against the same groups made by plain PySpark?

Both read the same simulated logs, each in a fresh process, in turns; the rival's groups are
compared with ours one by one. Everything is about simulated data.

    python benchmarks/build_samples.py [--quick] [--users N] [--out FILE] [--report FILE.md]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import outcome, tell  # noqa: E402
from benchmarks.samples import event_log, logs, measures, report, sizes  # noqa: E402
from benchmarks.samples.measures import Place  # noqa: E402
from intent.simulate.shop import simulate  # noqa: E402


@dataclass(frozen=True)
class Size:
    """How much is measured; users are multiples of a cell of the simulated shop (64)."""

    growth: tuple[int, ...]  # users
    race: int  # users
    forms: int  # users of the race between the rival's formulations; 0: none
    days: int
    rate: float
    repeats: int
    growth_repeats: int
    heavy: int  # median users whose events the heavy user has; 0: no heavy user
    tasks: int  # reducing tasks among which the heavy user's is the longest
    length: int = 256


FULL = Size((128, 256, 512, 1024), 1024, 64, 5, 1.0, 5, 3, 100, 16)
QUICK = Size((64, 128), 64, 0, 3, 0.05, 1, 1, 0, 0, length=64)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def measure(size: Size, folder: Path) -> dict:
    """All measurements as plain numbers; see benchmarks/samples/measures.py."""
    place = Place(folder, size.length)
    users = max(*size.growth, size.race)
    simulate(folder / "shop", users, size.days, 1, rate=size.rate)
    wanted = sorted({*size.growth, size.race, *([size.forms] if size.forms else [])})
    events = {f"u{n}": logs.part_of(folder / "shop", folder / f"u{n}", n) for n in wanted}
    found: dict = {"size": asdict(size), "events": events}
    if size.forms:
        say("the rival's formulations")
        runs = measures.forms(place, f"u{size.forms}")
        found["forms"] = {name: asdict(run) for name, run in runs.items()}
    name = f"u{size.race}"
    if size.forms:  # the fastest that we could think of, once
        best = min(runs, key=lambda f: runs[f].job_s)
        say(f"ours against the rival's fastest formulation ({best})")
        (one,), (fastest,) = measures.race(place, name, best, 1)
        found["best"] = {"form": best, "ours": asdict(one), "plain": asdict(fastest)}
    form = "windows"  # what the comparison is with: window functions and collect_list
    say(f"ours against the rival ({form}), {size.repeats} times")
    ours, plain = measures.race(place, name, form, size.repeats)
    found |= {"form": form, "ours": [asdict(r) for r in ours], "plain": [asdict(r) for r in plain]}
    found["manifest"] = ours[-1].lines[-1]
    found["cpu_s"] = median(r.all_cpu_s for r in ours)
    found["plain_cpu_s"] = median(r.all_cpu_s for r in plain)
    found["dense_bytes"] = sizes.bytes_per_group(place.dense(name))
    say("growth")
    grown = [f"u{n}" for n in size.growth]
    measured = {name: ours} if size.repeats >= size.growth_repeats else {}
    runs = measures.growth(place, grown, size.growth_repeats, measured)
    seconds = [median(r.job_s for r in runs[n]) for n in grown]
    a, b, off = measures.straight([events[n] for n in grown], seconds)
    cpu = [median(r.all_cpu_s for r in runs[n]) for n in grown]
    cpu_slope = measures.straight([events[n] for n in grown], cpu)[1]
    found["growth"] = {
        "users": list(size.growth), "events": [events[n] for n in grown], "job_s": seconds,
        "worker_peak_mib": [max(r.worker_peak_mib for r in runs[n]) for n in grown],
        "a_s": a, "b_s": b, "off": off, "all_cpu_s": cpu, "cpu_slope_s": cpu_slope,
    }  # fmt: skip
    if size.heavy:
        say("stages, profile, heavy user")
        _, stages = measures.logged(place, name)
        found["shuffle_bytes"] = sum(s.written for s in stages.values())
        found["stages"] = {k: asdict(s) for k, s in stages.items()}
        found["reduce_s"] = sum(event_log.reducing(stages).tasks_s)
        found["profile"] = measures.profile(place, name)
        found["heavy"] = measures.straggler(place, f"u{max(size.growth)}", size.heavy, size.tasks)
    return found


def figures(found: dict, quick: bool) -> list[dict]:
    """The figures with their goals (issue: samples at scale); a quick run judges nothing."""
    out = []

    def note(name: str, value: float, unit: str, goal: str | None = None, met=None) -> None:
        met = None if met is None or quick else bool(met)
        out.append(
            {"name": name, "value": round(float(value), 4), "unit": unit, "goal": goal, "met": met}
        )

    ours, plain = found["ours"], found["plain"]
    groups, events = found["manifest"]["groups"], found["events"][f"u{found['size']['race']}"]
    pairs = list(zip(ours, plain, strict=True))
    speedup = median(p["wall_s"] / o["wall_s"] for o, p in pairs)
    note("speedup_over_plain_spark", speedup, "x", ">= 10", speedup >= 10)
    if "best" in found:
        best = found["best"]
        note("speedup_over_best_plain_spark", best["plain"]["wall_s"] / best["ours"]["wall_s"], "x")
    note("speedup_without_startup", median(p["job_s"] / o["job_s"] for o, p in pairs), "x")
    note("cpu_over_plain_spark", found["plain_cpu_s"] / found["cpu_s"], "x")
    for name, runs in (("ours", ours), ("plain", plain)):
        note(f"groups_per_second_{name}", groups / median(r["wall_s"] for r in runs), "groups/s")
    size = found["manifest"]["bytes"] / groups
    dense = found["dense_bytes"]
    note("bytes_per_group", size, "bytes")
    ratio = size / dense["apart"]
    note("bytes_ratio_to_dense", ratio, "share", "<= 0.125", ratio <= 0.125)
    note("bytes_ratio_to_dense_shuffled_here", size / dense["shuffled"], "share")
    note("bytes_ratio_to_dense_sorted", size / dense["sorted"], "share")
    note("events_per_second", events / median(r["job_s"] for r in ours), "events/s")
    note("events_per_cpu_second", events / found["cpu_s"], "events/s")
    note("cpu_seconds_per_million_events", found["cpu_s"] / events * 1e6, "s")
    note("cpu_seconds_per_million_more_events", found["growth"]["cpu_slope_s"] * 1e6, "s")
    peak = max(found["growth"]["worker_peak_mib"])
    note("worker_peak_mib", peak, "MiB", "< 1024", peak < 1024)
    off = max(map(abs, found["growth"]["off"]))
    note("linearity", off, "share", "<= 0.15", off <= 0.15)
    if "heavy" in found:
        for label in ("even", "heavy"):
            times = found["heavy"][f"{label}_longest_s"] / found["heavy"][f"{label}_median_s"]
            note(f"longest_task_over_median_{label}", times, "x")
        note("shuffle_bytes_per_event", found["shuffle_bytes"] / events, "bytes")
    return out


def main() -> None:
    """Runs the benchmark and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="small logs, one run each; ends within 60 s"
    )
    parser.add_argument(
        "--users", type=int, help="users of the race against the rival, a multiple of 64"
    )
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    parser.add_argument("--report", type=Path, help="write everything as markdown to this file")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = QUICK if a.quick else FULL
        size = replace(size, race=a.users or size.race)
        found = measure(size, Path(folder))
    result = outcome("build_samples", a.quick, figures(found, a.quick))
    if a.report:
        a.report.write_text(report.markdown(result, found))
    tell(result, a.out)


if __name__ == "__main__":
    main()
