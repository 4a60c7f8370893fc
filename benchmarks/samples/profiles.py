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
ROUNDS = 200  # more than any stack is deep
OURS = ("intent", "cluster", "jobs")


def charged(stats: dict, owner: Callable[[Function], str | None]) -> dict[str, float]:
    """Own time of every function, summed by who is charged for it.

    Args:
        stats: pstats' table: function -> (calls, calls, own s, cumulative s, callers), callers a
            table of function -> (calls, calls, own s, cumulative s).
        owner: whom a function is charged to; None: to its callers, each by its share.
    """
    out: dict[str, float] = defaultdict(float)
    debts: dict[Function, float] = defaultdict(float)  # of library functions, to be handed upwards
    for function, (_, _, own, _, callers) in stats.items():
        if owner(function) or not callers:
            debts[function] += own
        else:  # whose call it was that took how long is known here
            for caller, values in callers.items():
                debts[caller] += values[2]
    for _ in range(ROUNDS):
        above: dict[Function, float] = defaultdict(float)
        for function, debt in debts.items():
            known = stats[function][4] if function in stats else {}
            weights = {c: v[3] for c, v in known.items() if c != function}
            total = sum(weights.values())
            if name := owner(function):
                out[name] += debt
            elif total <= 0:
                out[OTHERS] += debt
            else:
                for caller, weight in weights.items():
                    above[caller] += debt * weight / total
        debts = above
    out[OTHERS] += sum(debts.values())  # of circles of libraries that nobody of ours called
    return {name: seconds for name, seconds in out.items() if seconds}


def worker_seconds(folder: Path, root: Path) -> dict[str, float]:
    """CPU seconds by function ("intent/features/encode.py encode") of all profiles in `folder`."""
    total = pstats.Stats(*map(str, sorted(folder.glob("*.prof"))))

    def owner(function: Function) -> str | None:
        path = Path(function[0])
        if not path.is_relative_to(root) or path.relative_to(root).parts[0] not in OURS:
            return None
        return f"{path.relative_to(root)} {function[2]}"

    return charged(total.stats, owner)
