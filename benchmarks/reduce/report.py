"""The figures of the benchmark of communication, and its table."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

COLUMNS = {  # of the table: figure -> unit
    "bytes": "bytes", "wire_bytes": "bytes", "reducing_ms": "ms", "waiting_ms": "ms",
    "step_ms": "ms",
}  # fmt: skip


def summary(ranks: list[dict]) -> dict[tuple[str, str], dict[str, float]]:
    """(data, variant) -> medians over the steps.

    A step's reduction ends on all ranks at once and begins when the last rank is ready, so the
    shortest time of a step is that of the reduction, and the longest has the waiting in it. From
    the bytes of TCP, what Horovod sends in that time anyway, without work, is taken off.
    """
    steps = defaultdict(list)
    for pair in zip(*(rank["runs"] for rank in ranks), strict=True):
        idle = ranks[0]["idle_bytes_per_s"] * pair[0]["step_s"]
        reducing = [run["reducing_s"] for run in pair]
        steps[pair[0]["data"], pair[0]["variant"]].append({
            "bytes": pair[0]["bytes"],
            "wire_bytes": pair[0]["wire_bytes"] - idle,
            "reducing_ms": 1000 * min(reducing),
            "waiting_ms": 1000 * (max(reducing) - min(reducing)),
            "step_ms": 1000 * max(run["step_s"] for run in pair),
        })  # fmt: skip
    return {
        key: {name: median(one[name] for one in found) for name in COLUMNS}
        for key, found in steps.items()
    }


def figures(found: dict) -> list[dict]:
    """Names such as bytes_narrow_full_sparse, and how far the formula is from TCP's counts."""
    out, apart = [], []
    for head, ranks in found["heads"].items():
        for (data, variant), values in summary(ranks).items():
            for name, value in values.items():
                full = f"{name}_{head}_{data}_{variant}"
                out.append(_figure(full, value, COLUMNS[name]))
            apart.append(values["wire_bytes"] / values["bytes"] - 1)
        idle = ranks[0]["idle_bytes_per_s"]
        out.append(_figure(f"idle_bytes_per_second_{head}", idle, "bytes/s"))
    for variant, peak in found["memory"].items():
        out.append(_figure(f"peak_memory_{variant}", peak, "MiB"))
    out.append(_figure("wire_over_formula_median", median(apart), "share"))
    out.append(_figure("wire_over_formula_most", max(apart, key=abs), "share"))
    return out


def markdown(result: dict, found: dict, rows: int) -> str:
    """Everything as a table for each head and kind of data."""
    lines = [
        "# What two ranks send in a step",
        "",
        f"Commit {result['commit']}; {result['machine']}; two processes, a core each, {rows} "
        "groups each and step, over loopback. Everything here is simulated data. Medians; the "
        "variants took turns.",
    ]
    for head, ranks in found["heads"].items():
        table = summary(ranks)
        for data in dict.fromkeys(data for data, _ in table):
            lines += ["", f"## {head} head, data {data!r}", ""]
            lines += ["| | formula, bytes | TCP, bytes | reducing, ms | waiting, ms | step, ms |",
                      "|---|---|---|---|---|---|"]  # fmt: skip
            for (of, variant), v in table.items():
                if of == data:
                    lines.append(
                        f"| {variant} | {v['bytes']:,.0f} | {v['wire_bytes']:,.0f} | "
                        f"{v['reducing_ms']:.1f} | {v['waiting_ms']:.1f} | {v['step_ms']:.0f} |"
                    )
    if found["memory"]:
        lines += ["", "## Memory", "", "| | peak of a rank, MiB |", "|---|---|"]
        lines += [f"| {name} | {peak:.0f} |" for name, peak in found["memory"].items()]
    return "\n".join(lines) + "\n"


def _figure(name: str, value: float, unit: str) -> dict:
    return {"name": name, "value": round(float(value), 4), "unit": unit, "goal": None, "met": None}
