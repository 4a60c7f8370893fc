"""Parallel coordinates of a sweep, as SVG.

The axes lie one below another, so that the figure is narrow and may be long: it is read on a phone
as on a screen. Each trial is a line from its values, through all fields, down to its AUC.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from intent.report.svg import FIRST, INK, MUTED, SECOND, svg

WIDTH, ROW, TOP, BOTTOM = 3.8, 0.68, 0.42, 0.42  # inches
LEFT, RIGHT = 0.015, 0.985  # of the width
CHARACTERS = 46  # that fit beside one another


@dataclass(frozen=True)
class Axis:
    """One field, or the score.

    Attributes:
        name: shown above it.
        values: of the trials, in their order.
        log: distances are ratios.
    """

    name: str
    values: Sequence[Any]
    log: bool = False

    @property
    def numeric(self) -> bool:
        """Whether places on it are measured; else its values stand in a row."""
        many = len({_key(v) for v in self.values}) > 6
        kinds = all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values)
        return kinds and (many or self.log or any(isinstance(v, float) for v in self.values))

    def kinds(self) -> list[Any]:
        """Its different values, in order where they have one."""
        found = list({_key(v): v for v in self.values}.values())
        return sorted(found) if all(isinstance(v, int | float) for v in found) else found

    def places(self) -> list[float]:
        """Where each value lies, from 0 to 1; the middle where all are alike."""
        if not self.numeric:
            keys = [_key(v) for v in self.kinds()]
            return [_share(keys.index(_key(v)), 0, len(keys) - 1) for v in self.values]
        scale = math.log if self.log else float
        scaled = [scale(v) for v in self.values]
        return [_share(v, min(scaled), max(scaled)) for v in scaled]

    def ticks(self) -> list[tuple[float, str]]:
        """(place, text): the ends of a measured axis, every value of another where they fit."""
        found = sorted(set(zip(self.places(), map(text_of, self.values), strict=True)))
        room = sum(len(text) + 2 for _, text in found) <= CHARACTERS
        return found if room and not self.numeric else [found[0], found[-1]][: len(found)]


@dataclass(frozen=True)
class Look:
    """How a trial's line is drawn: "best", "good" or "rest"; one that was stopped is dashed."""

    rank: str = "rest"
    stopped: bool = False


def coordinates(name: str, axes: Sequence[Axis], looks: Sequence[Look], label: str) -> str:
    """The figure as one <svg> element.

    Args:
        name: keeps its ids apart from those of other figures on the page.
        axes: from top to bottom, the score last; all have the values of the same trials.
        looks: of the trials.
        label: what it shows, for who cannot see it.
    """
    height = TOP + ROW * (len(axes) - 1) + BOTTOM
    place = (LEFT, BOTTOM / height, RIGHT - LEFT, 1 - (TOP + BOTTOM) / height)
    rows = list(range(len(axes)))[::-1]  # from the top down
    places = [axis.places() for axis in axes]

    def draw(plot) -> None:
        plot.set_axis_off()
        plot.set(xlim=(0, 1), ylim=(0, max(len(axes) - 1, 1)))
        plot.hlines(rows, 0, 1, color=MUTED, linewidth=0.7)
        order = sorted(
            range(len(looks)), key=lambda t: ("rest", "good", "best").index(looks[t].rank)
        )
        for trial in order:
            plot.plot([p[trial] for p in places], rows, clip_on=False, **_style(looks[trial]))
        for row, axis in zip(rows, axes, strict=True):
            plot.annotate(
                axis.name, (0, row), xytext=(0, 5), textcoords="offset points", color=INK,
                fontsize=10, fontweight="bold", va="bottom",
            )  # fmt: skip
            for x, text in axis.ticks():
                side = "center" if 0.05 < x < 0.95 else "left" if x < 0.5 else "right"
                plot.vlines(x, row - 0.05, row + 0.05, color=MUTED, lw=0.7, clip_on=False)
                plot.annotate(
                    text, (x, row), xytext=(0, -5), textcoords="offset points", color=MUTED,
                    fontsize=9, ha=side, va="top",
                )  # fmt: skip

    return svg(name, ((WIDTH, height), place), draw, label)


def text_of(value: Any) -> str:
    """A value of a field, short: 0.0012, [64, 32], true."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _style(look: Look) -> dict[str, Any]:
    dashes = {"linestyle": (0, (3, 2))} if look.stopped else {}
    if look.rank == "best":
        return {"color": SECOND, "linewidth": 2.4, **dashes}
    if look.rank == "good":
        return {"color": FIRST, "linewidth": 1.2, "alpha": 0.85, **dashes}
    return {"color": MUTED, "linewidth": 0.8, "alpha": 0.45, **dashes}


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _key(value: Any) -> str:
    return repr(value)
