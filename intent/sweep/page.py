"""The page of a sweep: one HTML file that needs nothing else to be read or sent."""

from __future__ import annotations

from pathlib import Path

from intent.report.page import write_page
from intent.report.words import number, plural
from intent.sweep.ledger import Ledger, Trial
from intent.sweep.plots import Axis, Look, coordinates, text_of
from intent.sweep.space import LogUniform, Space
from intent.sweep.table import ranked, short_names, state_of

TEMPLATE = Path(__file__).with_name("sweep.html.j2")
GOOD = 4  # one in so many of the trials with a score is drawn as a good one
CAPTION = (
    "Each line is a trial. It passes every field at the value that the trial had, and ends at its "
    "AUC on the validation days. Thick: the best run. Strong: the best quarter. Dashed: stopped "
    "early."
)


def write_sweep_page(path: Path, ledger: Ledger, space: Space, source: str) -> Path:
    """Write the page of a sweep to `path`, atomically.

    Args:
        source: of the samples, as the manifest has it; what is simulated is called so.

    Raises IntentError where it cannot be written.
    """
    trials = ranked(ledger)
    best = ledger.trials.get(ledger.best) if ledger.best else None
    names = short_names(list(space))
    most = ledger.asked["max_epochs"]
    values = {
        "asked": ledger.asked,
        "simulated": "simulated" in source.lower(),
        "headline": _headline(best, len(trials)),
        "counts": {state: len(ledger.of(state)) for state in ("ended", "stopped", "failed")},
        "best": best,
        "second": next((t for t in trials if t.state == "ended" and t is not best), None),
        "run": path.parent / "best",
        "epochs": sum(trial.epochs for trial in trials),
        "full_epochs": sum(most for trial in trials if not ledger.fitted(trial.id)),
        "figure": figure_of(ledger, space),
        "caption": CAPTION,
        "names": names,
        "rows": [
            {
                "trial": trial,
                "values": {name: text_of(trial.values[key]) for key, name in names.items()},
                "state": state_of(trial, most),
            }
            for trial in trials
        ],
        "chosen": {} if best is None else {k: text_of(v) for k, v in best.values.items()},
        "tried": {key: _tried(d.model_dump()) for key, d in space.items()},
    }
    return write_page(path, TEMPLATE, values, "sweep's page")


def figure_of(ledger: Ledger, space: Space) -> str:
    """The parallel coordinates of the trials that have a score; empty with fewer than two."""
    trials = [trial for trial in ranked(ledger) if trial.score is not None]
    if len(trials) < 2:
        return ""
    names = short_names(list(space))
    axes = [
        Axis(names[key], [trial.values[key] for trial in trials], isinstance(d, LogUniform))
        for key, d in space.items()
    ]
    axes.append(Axis("AUC, validation", [trial.score for trial in trials]))
    good = sorted((trial.score for trial in trials), reverse=True)[len(trials) // GOOD]
    looks = [Look(_rank(trial, ledger.best, good), trial.state == "stopped") for trial in trials]
    return coordinates("sweep", axes, looks, CAPTION)


def _rank(trial: Trial, best: str | None, good: float) -> str:
    if trial.id == best:
        return "best"
    return "good" if trial.score > good else "rest"


def _headline(best: Trial | None, count: int) -> str:
    if best is None:
        return f"No run of {plural(count, 'trial')} has a score"
    return f"Best of {plural(count, 'trial')}: validation AUC {number(best.score)}"


def _tried(spec: dict) -> str:
    """{"loguniform": (0.0001, 0.01)} -> "loguniform 0.0001 to 0.01"."""
    ((kind, values),) = spec.items()
    link = ", " if kind in ("choice", "grid") else " to "
    return f"{kind} {link.join(map(text_of, values))}"
