"""The figures of the data card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intent.report.svg import FIRST, MUTED, SECOND, WIDE, few_ticks, svg
from intent.samples.card import GAP_EDGES_MS

LOW = ((4.3, 2.1), (0.13, 0.22, 0.84, 0.73))
CLOCK_MS = {"1 ms": 1, "1 s": 1e3, "1 min": 6e4, "1 h": 3.6e6, "1 day": 8.64e7}


def rates(
    name: str, parts: Sequence[Mapping], tasks: Mapping[str, str], axis: str, label: str
) -> str:
    """Share of positive groups by hour or by day, a line a task; `tasks`: name -> legend."""
    places = np.arange(len(parts))

    def draw(axes) -> None:
        for color, style, (task, legend) in zip(
            (FIRST, SECOND, MUTED), ("-", "--", ":"), tasks.items(), strict=False
        ):
            share = [
                100 * p["positives"][task] / p["groups"] if p["groups"] else np.nan for p in parts
            ]
            axes.plot(places, share, style, color=color, marker="o", ms=3, label=legend)
        axes.set(xlabel=axis, ylabel="share of groups, %")
        axes.set_ylim(bottom=0)
        _ticks(axes, parts)
        axes.yaxis.set_major_locator(few_ticks())
        axes.legend(fontsize=8, loc="best", framealpha=0)

    return svg(name, WIDE, draw, label)


def groups(name: str, parts: Sequence[Mapping], axis: str, label: str) -> str:
    """Number of groups by hour or by day."""

    def draw(axes) -> None:
        axes.bar(np.arange(len(parts)), [p["groups"] for p in parts], color=MUTED, width=0.7)
        axes.set(xlabel=axis, ylabel="groups")
        _ticks(axes, parts)
        _counts(axes)

    return svg(name, WIDE, draw, label)


def lengths(name: str, counts: Sequence[int], label: str) -> str:
    """Actions in a window before padding, from groups by length 0 to N."""
    counts = np.asarray(counts)
    bins = np.unique(np.r_[0, 1, np.linspace(1, len(counts) - 1, 17).round(), len(counts)]).astype(
        int
    )
    shares = np.add.reduceat(counts, bins[:-1]) / max(counts.sum(), 1)

    def draw(axes) -> None:
        axes.bar(np.arange(len(shares)), 100 * shares, color=FIRST, width=0.85)
        places = sorted({0, len(shares) // 2, len(shares) - 1})
        axes.set_xticks(places, [_bin(bins, place) for place in places])
        axes.set(xlabel="actions in the window", ylabel="groups, %")
        axes.yaxis.set_major_locator(few_ticks())
        axes.grid(axis="x", visible=False)

    return svg(name, LOW, draw, label)


def gaps(name: str, counts: Sequence[int], label: str) -> str:
    """Time between an action and the one before it, on a logarithmic axis."""
    counts = np.asarray(counts)
    there = np.flatnonzero(counts)
    low, high = (there[0], there[-1]) if len(there) else (0, 1)
    edges = np.maximum(GAP_EDGES_MS, 0.5)
    share = 100 * counts / max(counts.sum(), 1)

    def draw(axes) -> None:
        axes.fill_between(edges, share, step="post", color=FIRST, alpha=0.25, lw=0)
        axes.step(edges, share, where="post", color=FIRST, lw=1.2)
        axes.set_xscale("log")
        axes.set_xticks(list(CLOCK_MS.values()), list(CLOCK_MS), minor=False)
        axes.set_xticks([], minor=True)
        axes.set(xlabel="time since the action before", ylabel="actions, %")
        axes.set_xlim(edges[low], edges[min(high + 1, len(edges) - 1)])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(few_ticks())

    return svg(name, LOW, draw, label)


def per_user(name: str, spread: Mapping, label: str) -> str:
    """Users by how many groups they have."""

    def draw(axes) -> None:
        edges = np.asarray(spread["edges"])
        axes.bar(
            edges[:-1], spread["counts"], width=np.diff(edges) * 0.9, align="edge", color=MUTED
        )
        axes.set(xlabel="groups", ylabel="users")
        axes.xaxis.set_major_locator(few_ticks(integer=True))
        _counts(axes)

    return svg(name, WIDE, draw, label)


def _bin(bins: np.ndarray, place: int) -> str:
    low, high = bins[place], bins[place + 1] - 1
    return f"{low}" if low == high else f"{low}–{high}"


def _ticks(axes, parts: Sequence[Mapping]) -> None:
    """Some of the parts' names under the axis; of a day only month and day."""
    every = max(1, -(-len(parts) // 8))
    names = [str(part["name"])[-5:] for part in parts]
    axes.set_xticks(range(0, len(parts), every), names[::every])


def _counts(axes) -> None:
    axes.yaxis.set_major_locator(few_ticks(integer=True))
    axes.yaxis.set_major_formatter(lambda n, _: f"{n / 1000:,g}k" if n >= 10_000 else f"{n:,g}")
    axes.grid(axis="x", visible=False)
