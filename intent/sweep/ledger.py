"""sweep.json: what was asked of a sweep, and what became of each trial.

It is the whole memory of a sweep besides the run directories, and one process writes it, whole or
not at all, whenever a trial ends. So a sweep that was killed at any moment knows what had ended.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from intent.errors import IntentError
from intent.models.sources import COUNTED
from intent.storage import write_atomically
from intent.training.run_dir import FITTED, NETWORK

NAME, LOCK, TRIALS = "sweep.json", ".lock", "trials"
MODELS = (NETWORK, FITTED)  # a run has one of them once its training has ended
State = Literal["waiting", "ended", "stopped", "failed"]


@dataclass(frozen=True)
class Trial:
    """One run of a sweep.

    Attributes:
        id: "0000", "0001", ... in the order in which they are drawn; the name of its run folder.
        values: its fields, {"train.learning_rate": 0.001}.
        state: "ended" came to its end and has a model; "stopped" was not worth going on with;
            "failed" says why in `reason`; "waiting" has not ended, or not begun.
        score: of the weights that it has (`intent.sweep.curve.kept`); epoch: their validation.
        epochs: validations until it ended or was stopped. A model that is fitted without epochs has
            a score, but neither of these.
        groups: of each validation.
    """

    id: str
    values: Mapping[str, Any]
    state: State = "waiting"
    score: float | None = None
    epoch: int | None = None
    epochs: int = 0
    groups: int = 0
    reason: str = ""


@dataclass
class Ledger:
    """The file of a sweep, and its trials by id. `save` writes it."""

    folder: Path
    asked: dict[str, Any]
    trials: dict[str, Trial] = field(default_factory=dict)
    best: str | None = None

    def note(self, id: str, **changes: Any) -> None:
        """Change what is known of a trial; not saved yet."""
        self.trials[id] = replace(self.trials[id], **changes)

    def of(self, *states: State) -> list[Trial]:
        """The trials in one of `states`, in order."""
        return [trial for trial in self.trials.values() if trial.state in states]

    def run(self, id: str) -> Path:
        """The run directory of a trial."""
        return self.folder / TRIALS / id

    def fitted(self, id: str) -> bool:
        """Whether a trial's model is fitted without epochs (gbdt, gbdt_touch, logistic)."""
        same = self.asked["settings"]["model"]["kind"]
        return self.trials[id].values.get("model.kind", same) in COUNTED

    def winner(self) -> Trial | None:
        """The trial with the highest score among those that have a model; the first of several."""
        known = [trial for trial in self.of("ended") if trial.score is not None]
        return max(known, key=lambda trial: trial.score, default=None)

    def to_dict(self) -> dict[str, Any]:
        """What the file holds."""
        trials = [asdict(trial) for trial in self.trials.values()]
        return {"asked": self.asked, "best": self.best, "trials": trials}

    def save(self) -> None:
        """Write the file; OSError where that is impossible, and the old one stands."""
        path = self.folder / NAME
        try:
            write_atomically(path, json.dumps(self.to_dict(), indent=1))
        except OSError as error:
            error.filename = str(path)  # not that of a draft
            raise


def open_ledger(
    folder: Path, asked: dict[str, Any], drawn: Mapping[str, Mapping[str, Any]]
) -> Ledger:
    """The ledger of a new sweep, or of one that is gone on with.

    Args:
        asked: what decides the trials and their scores, JSON; the same as before, or IntentError.
        drawn: the values of each trial by id; there may be more than before, but not fewer.

    A trial whose run has a model has ended, whether or not somebody was left to note it.
    """
    known: dict[str, Trial] = {}
    path = folder / NAME
    if path.exists():
        try:
            data = json.loads(path.read_text())
            known = {item["id"]: Trial(**item) for item in data["trials"]}
            before = data["asked"]
        except (ValueError, KeyError, TypeError) as error:
            raise IntentError(
                f"{path} is no account of a sweep ({error}): name another --out"
            ) from None
        _check_same(folder, before, asked)
    elif any(p.name != LOCK for p in folder.iterdir()):
        raise IntentError(f"{folder} holds files but no sweep: name a new or an empty folder")
    if len(known) > len(drawn):
        raise IntentError(
            f"the sweep in {folder} has {len(known)} trials, now it is asked for {len(drawn)}: "
            f"give --trials {len(known)} or more to go on with it, or another --out"
        )
    trials = {id: known.get(id, Trial(id, dict(values))) for id, values in drawn.items()}
    ledger = Ledger(folder, asked, trials)
    for trial in ledger.of("waiting"):
        if any((ledger.run(trial.id) / name).exists() for name in MODELS):
            ledger.note(trial.id, state="ended")
    return ledger


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A block in which no other process sweeps in `folder`; IntentError where one does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise IntentError(f"cannot write the sweep's folder {folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IntentError(f"another `intent sweep` is at work in {folder}") from None
        yield


def _check_same(folder: Path, before: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """IntentError that names the first thing that was asked differently."""
    old, new = _flat(before), _flat(asked)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            raise IntentError(
                f"the sweep in {folder} was begun with {key}={old.get(key)!r}, now it is "
                f"{new.get(key)!r}: set it back to go on with that sweep, or give another --out"
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
