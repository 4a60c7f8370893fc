"""Figures of the report as inline SVG: no network, sharp in print, and dark where the page is dark.

matplotlib draws in placeholder colours that become CSS variables of the page. Text stays text, in
the page's own font.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Colour that is drawn -> variable of the style sheet. Never the black or white of a default.
INK, MUTED, GRID, FIRST, SECOND = "#010203", "#020304", "#030405", "#040506", "#050607"
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "rule", FIRST: "first", SECOND: "second"}
STYLE = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
# Inches, and the plot's place in them as left, bottom, width, height: plots in a row line up.
SQUARE, WIDE = ((3.3, 3.3), (0.165, 0.14, 0.8, 0.8)), ((4.3, 2.8), (0.13, 0.16, 0.84, 0.8))


def roc(name: str, points: dict, label: str) -> str:
    """ROC curve from {"fpr", "tpr"}."""

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(points["fpr"], points["tpr"], color=FIRST)
        axes.fill_between(points["fpr"], points["fpr"], points["tpr"], color=FIRST, alpha=0.1, lw=0)
        axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
        axes.set(xlabel="share of non-buyers flagged", ylabel="share of buyers found")

    return svg(name, SQUARE, draw, label)


def precision_recall(name: str, points: dict, base_rate: float, label: str) -> str:
    """Precision over recall from {"recall", "precision"}, with the base rate as the floor."""

    def draw(axes) -> None:
        axes.axhline(base_rate, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(points["recall"], points["precision"], color=FIRST)
        axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
        axes.set(xlabel="share of buyers found", ylabel="share of flagged who buy")

    return svg(name, SQUARE, draw, label)


def reliability(name: str, bins: dict, label: str) -> str:
    """Observed over predicted rate by bin, with intervals, from "calibration" of `evaluate`."""

    def draw(axes) -> None:
        known = [ci for ci in bins["ci95"] if ci]
        top = 1.06 * max(*bins["predicted"], *bins["observed"], *(high for _, high in known), 0.01)
        top = min(top, 1.02)
        axes.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for x, ci in zip(bins["predicted"], bins["ci95"], strict=True):
            if ci:
                axes.plot([x, x], ci, color=FIRST, linewidth=1.1, alpha=0.6)
        axes.plot(bins["predicted"], bins["observed"], color=FIRST, marker="o", ms=3.5, lw=1)
        axes.set(xlim=(0, top), ylim=(0, top), aspect="equal")
        axes.set(xlabel="predicted rate, %", ylabel="observed rate, %")
        for one in (axes.xaxis, axes.yaxis):
            one.set_major_locator(_few_ticks())
            one.set_major_formatter(lambda rate, _: f"{100 * rate:.3g}")

    return svg(name, SQUARE, draw, label)


@dataclass(frozen=True)
class Line:
    """A curve over training steps; held-out points are drawn with markers."""

    legend: str
    steps: Sequence[int]
    values: Sequence[float]
    held_out: bool = False


def training(name: str, series: Sequence[Line], axis: str, label: str) -> str:
    """Curves over training steps; a colour follows the place among the lines of its kind."""

    def draw(axes) -> None:
        seen = {True: 0, False: 0}
        for line in series:
            color = (FIRST, SECOND)[seen[line.held_out] % 2]
            seen[line.held_out] += 1
            style = {"lw": 0.8, "ls": (0, (2, 2)), "marker": "o", "ms": 5} if line.held_out else {}
            axes.plot(line.steps, line.values, color=color, label=line.legend, **style)
        axes.set(xlabel="training step", ylabel=axis)
        axes.xaxis.set_major_locator(_few_ticks(integer=True))
        if len(series) > 1:
            axes.legend(fontsize=8, loc="best")

    return svg(name, WIDE, draw, label)


def svg(name: str, shape: tuple, draw: Callable, label: str) -> str:
    """What `draw(axes)` draws, as one <svg> element; `name` keeps its ids apart from others'."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        size, place = shape
        figure = Figure(figsize=size)
        draw(figure.add_axes(place))
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for color, variable in VARIABLES.items():
        text = text.replace(color, f"var(--{variable})")
    view_box = re.search(r'viewBox="[^"]+"', text).group()
    opening = f'<svg {view_box} role="img" aria-label="{html.escape(label)}">'
    return (opening + text[text.index(">") + 1 :]).strip()


def _few_ticks(**options):
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, **options)
