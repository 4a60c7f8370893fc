"""The run directory: everything about a run, and nothing else about it anywhere.

RUN/config.yaml    the fully resolved configuration
RUN/manifest.json  what the run was trained on
RUN/samples.txt    where that was
RUN/checkpoints/   RUN/metrics.jsonl   RUN/tensorboard/   while it trains
RUN/model.keras    RUN/report.html     RUN/device/        afterwards
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intent import storage
from intent.config import IntentConfig, dump_config, load_config
from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples.manifest import Manifest
from intent.storage import write_atomically
from intent.training.comm import Communicator, PeerLost

# What may change between two starts of one run: how long it goes on and what it keeps.
FREE = {"train.epochs", "train.checkpoint_every", "train.keep_checkpoints"}
SAMPLES = "samples.txt"


@dataclass(frozen=True)
class RunDir:
    """A run directory whose configuration and data are known."""

    path: Path
    config: IntentConfig
    manifest: Manifest

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Folder for `tensorboard --logdir`."""
        return self.path / "tensorboard"

    @property
    def model(self) -> Path:
        """The trained model, written when training has ended."""
        return self.path / "model.keras"

    @property
    def samples(self) -> str | None:
        """The folder or URL that the run was last trained from; None where no run noted it."""
        place = self.path / SAMPLES
        return place.read_text().strip() if place.exists() else None

    def note_samples(self, place: str | Path) -> None:
        """Note where the run's samples are, for whoever explains its scores."""
        write_atomically(self.path / SAMPLES, f"{storage.absolute(place)}\n")

    @property
    def manifest_hash(self) -> str:
        """Hash of the shards that the epoch plan draws from."""
        return self.manifest.hash()

    @property
    def config_hash(self) -> str:
        """Hash of the settings that decide the weights."""
        text = json.dumps(_deciding(self.config), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def open_run(
    path: str | Path, config: IntentConfig, manifest: Manifest, comm: Communicator
) -> RunDir:
    """Make the run directory, or open it to go on in it. Rank 0 does it, the others wait for it.

    Raises IntentError where the folder holds a run of another schema, other data or another
    configuration, or something that is no run at all. Nothing is changed then.
    """
    run = RunDir(Path(path), config, manifest)
    error: IntentError | None = None
    if comm.rank == 0:
        try:
            _check(run)
            _create(run)
        except OSError as problem:
            error = IntentError(f"cannot write the run folder {path}: {problem.strerror}")
        except IntentError as problem:
            error = problem
    failed = comm.broadcast_object(error is not None)
    if error is not None:
        raise error
    if failed:
        raise PeerLost("rank 0 could not open the run folder")
    return run


def read_run(path: str | Path) -> RunDir:
    """Open an existing run to evaluate or export it; IntentError if there is none."""
    path = Path(path)
    for name in ("config.yaml", "manifest.json"):
        if not (path / name).is_file():
            raise IntentError(f"{path} is no run folder (no {name}); `intent train` makes one")
    return RunDir(path, load_config(path / "config.yaml"), manifests.load(path))


def _check(run: RunDir) -> None:
    path = run.path
    if path.exists() and not path.is_dir():
        raise IntentError(f"the run folder {path} is a file: name another folder")
    if not (path / "config.yaml").exists():
        begun = {manifests.NAME, "checkpoints"}  # by an open_run that was killed
        if path.exists() and any(entry.name not in begun for entry in path.iterdir()):
            raise IntentError(f"{path} holds files but no run: name a new or an empty folder")
        return
    before = read_run(path)
    for what, old, new in (
        ("another schema", before.manifest.schema.hash(), run.manifest.schema.hash()),
        ("other data", before.manifest_hash, run.manifest_hash),
    ):
        if old != new:
            raise IntentError(
                f"the run folder {path} was made with {what} (hash {old}, now {new}): "
                "give the samples it was made with, or another --run"
            )
    made_with, now = _deciding(before.config), _deciding(run.config)
    for key in sorted(now):
        if made_with[key] != now[key]:
            raise IntentError(
                f"the run folder {path} was made with {key}={made_with[key]!r}, now it is "
                f"{now[key]!r}: set it back to go on with that run, or give another --run"
            )


def _create(run: RunDir) -> None:
    """config.yaml last: a folder that has it is a run."""
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    manifest = json.dumps(run.manifest.to_dict(), indent=1)
    write_atomically(run.path / manifests.NAME, manifest)
    write_atomically(run.path / "config.yaml", dump_config(run.config))


def _deciding(config: IntentConfig) -> dict[str, Any]:
    """The settings of model and training that decide the weights, by dotted name."""
    sections = config.model_dump(mode="json", include={"model", "train"})
    named = ((f"{name}.{key}", v) for name, part in sections.items() for key, v in part.items())
    return {name: value for name, value in named if name not in FREE}
