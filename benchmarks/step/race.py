"""The variants in turns: all of them stand, each in its process, and one works at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from statistics import median

from benchmarks.step.child import Child

Run = dict  # of `meter.timed`


def race(variants: Mapping[str, Callable[[], Run]], turns: int) -> dict[str, list[Run]]:
    """name -> runs, one of each variant in every turn; every other turn goes backwards."""
    found: dict[str, list[Run]] = defaultdict(list)
    for turn in range(turns):
        for name in list(variants)[:: -1 if turn % 2 else 1]:
            found[name].append(variants[name]())
    return dict(found)


def training(children: Mapping[str, Child], data: str, turns: int, **options) -> dict:
    """Training on a file's batches, after a first run that does not count: it compiles."""
    for child in children.values():
        child.ask("train", data=data)
    calls = {n: (lambda c=c: c.ask("train", data=data, **options)) for n, c in children.items()}
    return race(calls, turns)


def scoring(children: Mapping[str, Child], data: str, turns: int, **options) -> dict:
    """Scoring a file's batches."""
    calls = {n: (lambda c=c: c.ask("infer", data=data, **options)) for n, c in children.items()}
    return race(calls, turns)


def start(stack: ExitStack, options: Mapping[str, tuple[str, dict]]) -> dict[str, Child]:
    """A child per variant: name -> (entry, its options); ended with the stack.

    They are built one after the other, so that not all of them compile at once.
    """
    children = {}
    for name, (entry, given) in options.items():
        children[name] = stack.enter_context(Child(entry, **given))
        children[name].wait()
    return children


def rate(run: Run) -> float:
    """Groups a second."""
    return run["groups"] / run["seconds"]


def cpu_per_group(run: Run) -> float:
    """CPU seconds a group: does not depend much on who else is at work."""
    return run["cpu_s"] / run["groups"]


def speedup(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    """Median over the turns of our rate over theirs."""
    return median(rate(a) / rate(b) for a, b in zip(ours, theirs, strict=True))


def fastest(runs: Mapping[str, Sequence[Run]], names: Sequence[str]) -> str | None:
    """Which of `names` has the highest median rate; None where none of them ran."""
    there = [name for name in names if name in runs]
    return max(there, key=lambda name: median(map(rate, runs[name])), default=None)
