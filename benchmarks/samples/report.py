"""The sample job's benchmark as a page of markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median

TOP = 15  # functions shown
GROWN = ("users", "events", "job_s", "all_cpu_s", "off", "worker_peak_mib")


def table(head: list[str], rows: list[list]) -> str:
    """A markdown table; numbers with thousands separators."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_text, line)) + " |" for line in lines) + "\n"


def _text(value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def markdown(result: dict, found: dict) -> str:
    """The whole page."""
    size, growth = found["size"], found["growth"]
    date = datetime.now(UTC).date()
    parts = [
        f"# The sample job against plain PySpark, {date}\n",
        "Everything here is simulated data.\n\n"
        f"    python benchmarks/build_samples.py{' --quick' if result['quick'] else ''}\n\n"
        f"Commit {result['commit']}; {result['machine']}; both jobs on 2 cores, each run a fresh "
        "process.\n"
        f"Simulated shop, {size['days']} days, rate {size['rate']:g}, windows of "
        f"{size['length']}, 30 cuts a user and day.\n",
        "## Figures\n",
        table(
            ["figure", "value", "unit", "goal", "met"],
            [[f[k] for k in ("name", "value", "unit", "goal", "met")] for f in result["figures"]],
        ),
        "## Ours and the rival in turns\n",
        f"{size['race']} users, {found['events'][_name(size['race'])]:,} events, "
        f"{found['manifest']['groups']:,} groups; the rival's formulation is "
        f'"{found["form"]}"; all groups equal. Seconds:\n',
        _runs(found),
    ]
    if "forms" in found:
        parts += [
            "The rival's formulations on "
            f"{found['events'][_name(size['forms'])]:,} events, one run each:\n",
            table(
                ["formulation", "job s", "CPU s"],
                [[n, r["job_s"], sum(r["cpu_s"].values())] for n, r in found["forms"].items()],
            ),
        ]
    if "best" in found:
        best = found["best"]
        parts += [
            f'The fastest of them, "{best["form"]}", at the size of the race, one run each: '
            f"{best['plain']['wall_s']:.1f} s, ours {best['ours']['wall_s']:.1f} s.\n"
        ]
    dense = found["dense_bytes"]
    parts += [
        "## Bytes a group\n",
        table(
            ["", "bytes"],
            [
                ["ours", found["manifest"]["bytes"] / found["manifest"]["groups"]],
                ["rival, one group a user and day (shuffled, at scale)", dense["apart"]],
                ["rival, these groups shuffled", dense["shuffled"]],
                ["rival, sorted by user and time", dense["sorted"]],
                ["rival, as its tasks wrote it", dense["as_written"]],
            ],
        ),
        "## Growth\n",
        f"seconds = {growth['a_s']:.2f} + {growth['b_s'] * 1e6:.3f} a million events; CPU seconds "
        f"(all processes): {growth['cpu_slope_s'] * 1e6:.3f} for every million more.\n",
        table(
            ["users", "events", "job s", "CPU s", "events/s", "off the line", "worker's peak MiB"],
            [
                [u, e, s, cpu, e / s, f"{off:+.1%}", peak]
                for u, e, s, cpu, off, peak in zip(
                    *(growth[k] for k in GROWN),
                    strict=True,
                )
            ],
        ),
    ]
    return "\n".join(parts + (_where(found) if "profile" in found else []))


def _name(users: int) -> str:
    return f"u{users}"


def _runs(found: dict) -> str:
    rows = []
    for name in ("ours", "plain"):
        for i, r in enumerate(found[name], 1):
            cpu = [r["cpu_s"].get(k, 0.0) for k in ("driver", "jvm", "workers")]
            rows.append([f"{name} {i}", r["wall_s"], r["startup_s"], r["job_s"], *cpu])
    head = ["run", "wall", "until Spark stood", "job", "CPU driver", "CPU JVM", "CPU workers"]
    return table(head, rows)


def _where(found: dict) -> list[str]:
    events = found["events"][_name(found["size"]["race"])]
    total, modules = sum(found["profile"].values()), {}
    for function, seconds in found["profile"].items():
        module = function.split(" ")[0]
        modules[module] = modules.get(module, 0.0) + seconds
    heavy = found["heavy"]

    def shares(parts: dict[str, float]) -> list[list]:
        top = sorted(parts.items(), key=lambda item: -item[1])[:TOP]
        return [[name, f"{seconds / total:.1%}"] for name, seconds in top]

    return [
        "## Where the CPU seconds go\n",
        table(
            ["process", "CPU s", "s a million events"],
            [
                [role, s, s / events * 1e6]
                for role in ("driver", "jvm", "workers")
                for s in [median(r["cpu_s"].get(role, 0.0) for r in found["ours"])]
            ],
        ),
        "The Python workers by file, then by function (a profiled run; what a library does counts "
        "for\nwho called it):\n",
        table(["file", "share"], shares(modules)),
        table(["function", "share"], shares(found["profile"])),
        "Spark's stages (tasks, their seconds, shuffle written):\n",
        table(
            ["stage", "tasks", "sum of s", "longest s", "shuffle MB"],
            [
                [str(k), len(t := s["tasks_s"]), sum(t), max(t), s["written"] / 1e6]
                for k, s in found["stages"].items()
            ],
        ),
        "## A heavy user\n",
        f"One user with the events of {heavy['times_the_median_user']:.0f} median users, "
        f"{found['size']['tasks']} reducing tasks; without her for comparison:\n",
        table(
            ["", "tasks", "longest s", "median s", "longest / median"],
            [
                [
                    label, heavy[f"{label}_tasks"], heavy[f"{label}_longest_s"],
                    heavy[f"{label}_median_s"],
                    heavy[f"{label}_longest_s"] / heavy[f"{label}_median_s"],
                ]
                for label in ("even", "heavy")
            ],
        ),
    ]  # fmt: skip
