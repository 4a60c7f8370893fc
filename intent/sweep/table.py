"""The trials of a sweep as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from intent.sweep.ledger import Ledger, Trial
from intent.sweep.plots import text_of

if TYPE_CHECKING:
    from rich.table import Table

ROWS = 20  # the best of more


def ranked(ledger: Ledger) -> list[Trial]:
    """All trials: those with a model first, the best of them first; then the stopped, likewise;
    then those that have no score."""
    order = {"ended": 0, "stopped": 1, "waiting": 2, "failed": 3}

    def key(trial: Trial) -> tuple:
        known = trial.score is not None
        place = order[trial.state] if known or trial.state in ("waiting", "failed") else 2
        return place, -trial.score if known else 0.0, trial.id

    return sorted(ledger.trials.values(), key=key)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """ "train.learning_rate" -> "learning_rate", where no other section has the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {k: name if last.count(name) == 1 else k for k, name in zip(keys, last, strict=True)}


def state_of(trial: Trial, max_epochs: int) -> str:
    """What became of a trial, in a few words."""
    if trial.state == "ended" and 0 < trial.epochs < max_epochs:
        return "ended early, by train.patience"
    return trial.state


def table_of(ledger: Ledger, rows: int = ROWS) -> Table:
    """The best `rows` trials; the promoted one is marked."""
    from rich.table import Table

    trials, most = ranked(ledger), ledger.asked["max_epochs"]
    names = short_names(list(trials[0].values)) if trials else {}
    title = f"{len(trials)} trials, by AUC on the validation days"
    table = Table(title=title, title_justify="left")
    table.add_column("trial", no_wrap=True)
    for name in names.values():
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("epochs", justify="right")
    table.add_column("AUC", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for trial in trials[:rows]:
        best = trial.id == ledger.best
        table.add_row(
            trial.id + (" *" if best else ""),
            *(text_of(trial.values[key]) for key in names),
            str(trial.epochs),
            "none" if trial.score is None else f"{trial.score:.4f}",
            state_of(trial, most),
            style="bold" if best else None,
        )
    return table
