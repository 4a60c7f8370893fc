"""The figures of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from intent.report.svg import FIRST, MUTED, SECOND, SQUARE, WIDE, few_ticks, svg


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
            one.set_major_locator(few_ticks())
            one.set_major_formatter(lambda rate, _: f"{100 * rate:.3g}")

    return svg(name, SQUARE, draw, label)


def gain(name: str, curve: dict, label: str) -> str:
    """Share of the buyers found over the share of groups taken, from "curve" of `gain.gain`."""

    def draw(axes) -> None:
        share, found = curve["share"], curve["found"]
        ends = [ci or (value, value) for ci, value in zip(curve["ci95"], found, strict=True)]
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        low, high = zip(*ends, strict=True)
        axes.fill_between(share, low, high, color=FIRST, alpha=0.18, lw=0)
        axes.plot(share, found, color=FIRST)
        axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
        axes.set(xlabel="share of groups taken, best first", ylabel="share of buyers found")

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
        axes.xaxis.set_major_locator(few_ticks(integer=True))
        if len(series) > 1:
            axes.legend(fontsize=8, loc="best")

    return svg(name, WIDE, draw, label)
