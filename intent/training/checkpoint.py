"""Checkpoints: everything needed to go on as if the run had never stopped.

A checkpoint is a folder `checkpoints/step-XXXXXXXX/` with `arrays.npz` (weights, optimizer state,
metric state) and `checkpoint.json`, written last, which says where in the epoch plan the run stood
and carries the hash of the arrays. It is written under another name and renamed, so a folder
without a sound `checkpoint.json` does not count, whenever a process was killed. NumPy alone reads
it; nothing in it is pickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intent.errors import IntentError
from intent.training.stopping import Choice

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)
ARRAYS, FACTS, BEST, DRAFT = "arrays.npz", "checkpoint.json", "best.json", ".draft-"


@dataclass(frozen=True)
class Position:
    """The next batch of the epoch plan, and how many updates came before it."""

    epoch: int = 0
    step: int = 0
    updates: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and is whole.

    `metrics` is the state of the running metrics (name -> array), `seed` the seed of the run,
    `feed` the position as the feed has it, bound to its data and order; the states of random
    generators inside the model are among the variables. `choice` is what the validations before it
    have shown (`stopping.Choice`), empty in those of older versions.
    """

    path: Path
    position: Position
    manifest_hash: str
    config_hash: str
    seed: int
    feed: dict[str, Any]
    variables: list[np.ndarray]
    names: list[str]
    metrics: dict[str, np.ndarray]
    choice: dict[str, Any] = field(default_factory=dict)


def path_of(folder: Path, position: Position) -> Path:
    """Where the checkpoint of `position` lies."""
    return folder / f"step-{position.updates:08d}"


def save(
    folder: Path,
    position: Position,
    variables: Sequence[keras.Variable],
    metrics: dict[str, np.ndarray],
    *,
    manifest_hash: str,
    config_hash: str,
    seed: int,
    feed: dict[str, Any],
    choice: dict[str, Any] | None = None,
) -> Path:
    """Write `folder/step-XXXXXXXX/` atomically and return it.

    Raises IntentError where a weight is not finite: such a state is not worth going back to, and
    keeping it would push out a sound one.
    """
    names = [v.path for v in variables]
    arrays = {f"variable/{i:05d}": np.asarray(v.value) for i, v in enumerate(variables)}
    for name, array in zip(names, arrays.values(), strict=True):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise IntentError(
                f"the weight {name} is no longer finite at epoch {position.epoch} step "
                f"{position.step}: no checkpoint written; lower train.learning_rate"
            )
    arrays |= {f"metric/{name}": array for name, array in metrics.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(DRAFT + "*"):  # of a process that was killed while it wrote
        shutil.rmtree(left)
    final = path_of(folder, position)
    draft = folder / (DRAFT + final.name)
    draft.mkdir()
    with (draft / ARRAYS).open("wb") as file:
        np.savez(file, **arrays)
        _flush(file)
    facts = {
        "position": asdict(position),
        "manifest_hash": manifest_hash,
        "config_hash": config_hash,
        "seed": seed,
        "feed": feed,
        "choice": choice or {},
        "names": names,
        "arrays_blake2b": _hash(draft / ARRAYS),
    }
    with (draft / FACTS).open("w") as file:
        json.dump(facts, file, indent=1)
        _flush(file)
    if final.exists():  # the same step of a run that went back to an earlier checkpoint
        shutil.rmtree(final)
    os.replace(draft, final)
    return final


def load(path: Path) -> Checkpoint:
    """Read one checkpoint; IntentError says what is broken about it."""
    try:
        facts = json.loads((path / FACTS).read_text())
        if _hash(path / ARRAYS) != facts["arrays_blake2b"]:
            raise IntentError(f"checkpoint {path}: {ARRAYS} does not match its checksum")
        with np.load(path / ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return Checkpoint(
            path=path,
            position=Position(**facts["position"]),
            manifest_hash=facts["manifest_hash"],
            config_hash=facts["config_hash"],
            seed=facts["seed"],
            feed=facts["feed"],
            variables=[arrays[name] for name in sorted(arrays) if name.startswith("variable/")],
            names=facts["names"],
            metrics={n.removeprefix("metric/"): a for n, a in arrays.items() if n[:7] == "metric/"},
            choice=facts.get("choice", {}),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntentError(f"checkpoint {path} cannot be read: {error}") from error


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, None where there is none yet.

    Newer broken ones are named in a warning. IntentError where all of them are broken: starting
    over would throw away what a person may still want to save.
    """
    paths = _steps(folder)
    for path in reversed(paths):
        try:
            return load(path)
        except IntentError as error:
            log.warning("%s; going back to the one before", error)
    if paths:
        raise IntentError(
            f"none of the {len(paths)} checkpoints in {folder} is whole: restore them, "
            "or delete that folder to train from the start"
        )
    return None


def restore(checkpoint: Checkpoint, variables: Sequence[keras.Variable]) -> None:
    """Put the checkpoint's values into `variables`; IntentError where they do not fit."""
    ours = [(_stem(v.path), tuple(v.shape)) for v in variables]
    stored = zip(checkpoint.names, checkpoint.variables, strict=True)
    theirs = [(_stem(name), array.shape) for name, array in stored]
    if ours != theirs:
        odd = sorted(set(map(str, ours)) ^ set(map(str, theirs)))
        raise IntentError(
            f"checkpoint {checkpoint.path} is of another model ({' '.join(odd[:1])} is only in one "
            "of the two): use the run's own configuration, or another run folder"
        )
    for variable, value in zip(variables, checkpoint.variables, strict=True):
        variable.assign(value)


def write_best(folder: Path, choice: Choice) -> None:
    """Let best.json name the checkpoint that `choice` found best; no file where it found none.

    A run that went back behind its best checkpoint has found none so far.
    """
    if choice.best is None:
        (folder / BEST).unlink(missing_ok=True)
        return
    name = path_of(folder, Position(updates=choice.updates)).name
    draft = folder / (DRAFT + BEST)
    draft.write_text(json.dumps({"name": name, "score": choice.best}))
    os.replace(draft, folder / BEST)


def best(folder: Path) -> tuple[Path, float] | None:
    """The checkpoint with the highest score and that score; None before the first validation."""
    try:
        found = json.loads((folder / BEST).read_text())
    except (OSError, ValueError):
        return None
    return folder / found["name"], found["score"]


def load_best(folder: Path) -> Checkpoint | None:
    """The best checkpoint; None where no validation has found one.

    IntentError where it is not whole any more: another one must not pass for it.
    """
    known = best(folder)
    if known is None:
        return None
    try:
        return load(known[0])
    except IntentError as error:
        raise IntentError(
            f"the best checkpoint is lost ({error}): with --set train.keep_best=false the same "
            "command makes the model of the last step"
        ) from error


def prune(folder: Path, keep: int, newest: Path) -> None:
    """Delete all but the last `keep` checkpoints up to `newest`, just written, and the best one."""
    known = best(folder)
    names = [path.name for path in _steps(folder)]
    for name in surplus(names, keep, newest.name, known[0].name if known else None):
        shutil.rmtree(folder / name)


def surplus(names: Iterable[str], keep: int, newest: str, best: str | None) -> list[str]:
    """Which of the checkpoints `names` are not among the last `keep` up to `newest`, nor the best.

    What is newer than `newest` was broken when the run went back behind it, and goes too: else it
    would be taken for the latest.
    """
    names = sorted(names)
    sound = [name for name in names if name <= newest]
    spared = {*sound[-keep:], best if best is not None and best <= newest else None}
    return [name for name in names if name not in spared]


def _steps(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.is_dir())


def _stem(path: str) -> str:
    """A variable's path without the numbers that Keras counts up within a process."""
    return re.sub(r"_\d+(?=/|$)", "", path)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _flush(file) -> None:
    file.flush()
    os.fsync(file.fileno())
