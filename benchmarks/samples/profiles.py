"""Where the CPU time of the Python workers goes: profiles summed over functions of the project.

What a library does is charged to the function of ours that called it, however deep below.
"""

from __future__ import annotations

import pstats
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

Function = tuple[str, int, str]  # file, line, name
OTHERS = "(PySpark's worker)"
OURS = ("intent", "cluster", "jobs")


def charged(stats: dict, owner: Callable[[Function], str | None]) -> dict[str, float]:
    """Own time of every function, summed by who is charged for it.

    Args:
        stats: pstats' table: function -> (calls, calls, own s, cumulative s, callers), callers a
            table of function -> (calls, calls, own s, cumulative s).
        owner: whom a function is charged to; None: to its callers, each by its share.
    """
    shares: dict[Function, dict[str, float]] = {}

    def share(function: Function, above: frozenset) -> dict[str, float]:
        if function in shares:
            return shares[function]
        if name := owner(function):
            return {name: 1.0}
        known = stats[function][4] if function in stats else {}
        callers = {c: v[3] for c, v in known.items() if c not in above and c != function}
        total = sum(callers.values())
        if total <= 0:
            return {OTHERS: 1.0}
        found: dict[str, float] = defaultdict(float)
        for caller, weight in callers.items():
            for name, part in share(caller, above | {function}).items():
                found[name] += part * weight / total
        if not above:
            shares[function] = dict(found)
        return dict(found)

    out: dict[str, float] = defaultdict(float)
    for function, (_, _, own, _, callers) in stats.items():
        if name := owner(function):
            out[name] += own
            continue
        for caller, values in callers.items():
            for name, part in share(caller, frozenset([function])).items():
                out[name] += part * values[2]
        if not callers:
            out[OTHERS] += own
    return dict(out)


def worker_seconds(folder: Path, root: Path) -> dict[str, float]:
    """CPU seconds by function ("intent/features/encode.py encode") of all profiles in `folder`."""
    total = pstats.Stats(*map(str, sorted(folder.glob("*.prof"))))

    def owner(function: Function) -> str | None:
        path = Path(function[0])
        if not path.is_relative_to(root) or path.relative_to(root).parts[0] not in OURS:
            return None
        return f"{path.relative_to(root)} {function[2]}"

    return charged(total.stats, owner)
