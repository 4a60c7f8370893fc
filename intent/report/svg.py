"""Figures as inline SVG: no network, sharp in print, and dark where the page is dark.

matplotlib draws in placeholder colours that become CSS variables of the page. Text stays text, in
the page's own font.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable

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


def few_ticks(**options):
    """Round numbers, at most six."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, **options)
