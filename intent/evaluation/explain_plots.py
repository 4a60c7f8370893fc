"""The figures of an explanation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intent.report.svg import FIRST, MUTED, SECOND, few_ticks, svg
from intent.samples.peek_words import ago

TIMELINE = ((4.6, 2.5), (0.15, 0.17, 0.82, 0.79))
MAP = ((3.3, 3.3), (0.13, 0.13, 0.82, 0.82))
SESSION_MS = 1_800_000  # a pause so long is drawn
DOT = 22  # square points, of an action whose attention is what all would have if they had the same
LARGEST = 12  # times that
TICKS = 6
SHADE = (0.29, 0.54, 0.82)  # of a heat map: is seen on white and on black


def timeline(
    name: str,
    before_ms: Sequence[int],
    effects: Sequence[float],
    weights: Sequence[float | None],
    reach: float,
    label: str,
) -> str:
    """The actions of a view in their order: height and colour are effects, size is attention.

    Even steps, for the times of actions are not: hundreds within minutes, then a night. Ages stand
    below, and dotted lines where the user paused.

    Args:
        before_ms: how long before the cut each action was, the oldest first.
        weights: attention of equation (2); None where there is none.
        reach: where the axis of effects ends, the same for all views of a group.
    """
    effects, places = np.asarray(effects, float), np.arange(1, len(effects) + 1)
    times_even = np.array([1.0 if w is None else w * len(weights) for w in weights])
    sizes = DOT * np.clip(times_even, 0.15, LARGEST)
    pauses = np.flatnonzero(-np.diff(before_ms) >= SESSION_MS)

    def draw(axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.8)
        for pause in pauses.tolist():
            axes.axvline(pause + 1.5, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        for color, mine in ((FIRST, effects >= 0), (SECOND, effects < 0)):
            axes.vlines(places[mine], 0, effects[mine], color=color, alpha=0.5, lw=0.8)
            axes.scatter(places[mine], effects[mine], sizes[mine], color=color, alpha=0.7, lw=0)
        ticks = sorted({round(x) for x in np.linspace(0, len(places) - 1, TICKS)})
        axes.set_xticks([i + 1 for i in ticks], [_age(before_ms[i]) for i in ticks])
        axes.set_xlim(0.3, len(places) + 0.7)
        axes.set_ylim(-1.15 * reach, 1.15 * reach)
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_locator(few_ticks())
        axes.yaxis.set_major_formatter(lambda effect, _: f"{effect:+.3g}" if effect else "0")
        axes.set(xlabel=f"{len(places):,} actions, by their time before the cut")
        axes.set(ylabel="effect on the score")

    return svg(name, TIMELINE, draw, label)


def _age(before_ms: int) -> str:
    """An age in its largest unit, for an axis: "5 h"."""
    return " ".join(ago(before_ms).split(" ")[:2]) if before_ms else "the cut"


def heat_map(name: str, weights: np.ndarray, asks: str, asked: str, label: str) -> str:
    """Who looks at whom: a row for each action of one view, a column for each of the other.

    Args:
        weights: [rows, columns] of equation (4); the darkest is the greatest.
        asks, asked: the views of rows and of columns.
    """
    from matplotlib.ticker import MaxNLocator

    rows, columns = weights.shape
    shades = np.empty((rows, columns, 4))
    shades[..., :3] = SHADE
    shades[..., 3] = weights / max(weights.max(), 1e-12)

    def draw(axes) -> None:
        edges = (0.5, columns + 0.5, rows + 0.5, 0.5)
        axes.imshow(shades, interpolation="none", aspect="auto", extent=edges)
        axes.set(xlabel=f"{asked} actions, oldest first", ylabel=f"{asks} actions, oldest first")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(visible=False)

    return svg(name, MAP, draw, label)
