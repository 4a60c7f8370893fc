"""The losses compared where inter-view attention counts.

At the first steps of the default model r is about 1e-8, and cutting it off moves no score: any
error in nine tenths of the arithmetic would pass as "the same loss". From weights with louder
embeddings, and with equation (3) scaled by the length, it moves scores, which is measured too.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.step import race, stages
from benchmarks.step.data import Kind

LOUDER = 20  # times the drawn embeddings


def same_losses(
    kind: Kind, folder: Path, size: stages.Size, python: Path | None, torch: dict, names: set[str]
) -> dict:
    """`stages.same_losses` from loud weights, with "without_r", the control.

    Args:
        torch: options of the PyTorch variant, such as its form.
        names: variants that take part.
    """
    path = folder / "loud.npz"
    given = stages.common(kind, path, model=stages.LOUD)
    options = stages.variants(kind, folder, size, python, None, given)
    with ExitStack() as stack:
        race.start(stack, {"ours": options["ours"]})["ours"].close()  # draws the weights
        with np.load(path) as file:
            weights = dict(file)
        louder = {n: a * (LOUDER if "/tables/" in n else 1) for n, a in weights.items()}
        np.savez(path, **louder)
        if "torch" in options:
            options["torch"][1].update(torch)
        children = race.start(stack, {n: o for n, o in options.items() if n in names})
        control = children["ours"].ask("without_r", data=kind.path)
        found = stages.same_losses(children, kind.path, size.check_steps)
    return found | {"without_r": control}
