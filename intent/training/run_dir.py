"""The run directory: everything about a run, and nothing else about it anywhere.

RUN/config.yaml    the fully resolved configuration
RUN/manifest.json  what the run was trained on
RUN/samples.txt    where that was
RUN/train.log      what training told, where no terminal saw it (`intent sweep`)
RUN/checkpoints/   RUN/metrics.jsonl   RUN/tensorboard/   while it trains
RUN/model.keras    RUN/report.html     RUN/device/        afterwards

RUN may be a URL. The work is done in a local folder then, and `intent.training.remote` keeps the
place like it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intent import storage
from intent.config import IntentConfig, dump_config, load_config
from intent.errors import IntentError
from intent.models.sources import is_counted
from intent.samples import manifest as manifests
from intent.samples.manifest import Manifest
from intent.storage import write_atomically
from intent.training.remote import CHECKPOINTS, CONFIG, METRICS, Mirror

# What may change between two starts of one run: how long it goes on, what it keeps and whom it
# tells. None of them changes an update.
FREE = {
    f"train.{key}"
    for key in ("epochs", "checkpoint_every", "keep_checkpoints", "patience", "min_improvement",
                "keep_best", "mlflow", "mlflow_experiment")
}  # fmt: skip
SAMPLES, LOG = "samples.txt", "train.log"
NETWORK, FITTED = "model.keras", "model.json"  # the model of a run, by its kind
RESULTS = {NETWORK}  # what a reader of a run needs besides what it notes


@dataclass(frozen=True)
class RunDir:
    """A run directory whose configuration and data are known.

    `path` is where this process works; `mirror` is there if the run itself is at a URL.
    """

    path: Path
    config: IntentConfig
    manifest: Manifest
    mirror: Mirror | None = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """The folder or URL of the run, for people."""
        return str(self.path) if self.mirror is None else self.mirror.url

    def shown(self, path: Path) -> str:
        """A file of the run, for people: where it is or will be."""
        return storage.join(self.place, path.relative_to(self.path).as_posix())

    def open(self) -> RunDir:
        """Make the run directory, or open it to go on in it. The coordinator does it, nobody else.

        Raises IntentError where the folder holds a run of another schema, other data or another
        configuration, or something that is no run at all. Nothing is changed then.
        """
        try:
            if self.mirror is not None:
                self.mirror.fetch_run()
            _check(self)
            _create(self)
        except OSError as problem:
            told = f"cannot write the run folder {self.place}: {problem.strerror}"
            raise IntentError(told) from problem
        self.sync()
        return self

    def sync(self) -> None:
        """Have everything of the run where it belongs; IntentError says what is there if not."""
        if self.mirror is not None:
            self.mirror.sync(self.config.train.keep_checkpoints)

    def sync_soon(self) -> None:
        """The same for metrics alone, now and then, and without an error."""
        if self.mirror is not None:
            self.mirror.sync_soon()

    def push(self, *names: str) -> None:
        """Put results there that were just written: files, or folders with all that is in them."""
        if self.mirror is not None:
            self.mirror.push(names)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / METRICS

    @property
    def tensorboard(self) -> Path:
        """Folder for `tensorboard --logdir`."""
        return self.path / "tensorboard"

    @property
    def model(self) -> Path:
        """The trained model, written when training has ended: a network, or the facts of one that
        is none (`intent.baselines.session_model`)."""
        return self.path / (FITTED if is_counted(self.config.model) else NETWORK)

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


def run_at(place: str | Path, config: IntentConfig, manifest: Manifest) -> RunDir:
    """The run directory at a folder or URL, as any rank knows it; nothing is read or written."""
    path = storage.local(place)
    if path is not None:
        return RunDir(path, config, manifest)
    mirror = Mirror(str(place))
    return RunDir(mirror.folder, config, manifest, mirror)


def open_run(place: str | Path, config: IntentConfig, manifest: Manifest) -> RunDir:
    """`run_at`, opened to train in it."""
    return run_at(place, config, manifest).open()


def read_run(place: str | Path) -> RunDir:
    """Open an existing run to evaluate or export it; IntentError if there is none."""
    path, mirror = storage.local(place), None
    if path is None:
        mirror = Mirror(str(place))
        path = mirror.folder
        mirror.fetch_results(RESULTS)
    return _read(path, str(place), mirror)


def _read(path: Path, place: str, mirror: Mirror | None = None) -> RunDir:
    for name in (CONFIG, manifests.NAME):
        if not (path / name).is_file():
            raise IntentError(f"{place} is no run folder (no {name}); `intent train` makes one")
    return RunDir(path, load_config(path / CONFIG), manifests.load(path), mirror)


def _check(run: RunDir) -> None:
    path = run.path
    if path.exists() and not path.is_dir():
        raise IntentError(f"the run folder {path} is a file: name another folder")
    if not (path / CONFIG).exists():
        names = {p.name for p in path.iterdir()} if path.exists() else set()
        if run.mirror is not None:
            names = {name.split("/")[0] for name in run.mirror.names}
        if names - {manifests.NAME, CHECKPOINTS, LOG}:  # those are of an `open` that was killed
            raise IntentError(f"{run.place} holds files but no run: name a new or an empty folder")
        return
    before = _read(path, run.place)
    for what, old, new in (
        ("another schema", before.manifest.schema.hash(), run.manifest.schema.hash()),
        ("other data", before.manifest_hash, run.manifest_hash),
    ):
        if old != new:
            raise IntentError(
                f"the run folder {run.place} was made with {what} (hash {old}, now {new}): "
                "give the samples it was made with, or another --run"
            )
    made_with, now = _deciding(before.config), _deciding(run.config)
    for key in sorted(made_with.keys() | now.keys()):
        if made_with.get(key) != now.get(key):
            raise IntentError(
                f"the run folder {run.place} was made with {key}={made_with.get(key)!r}, now it is "
                f"{now.get(key)!r}: set it back to go on with that run, or give another --run"
            )


def _create(run: RunDir) -> None:
    """config.yaml last: a folder that has it is a run."""
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    manifest = json.dumps(run.manifest.to_dict(), indent=1)
    write_atomically(run.path / manifests.NAME, manifest)
    write_atomically(run.path / CONFIG, dump_config(run.config))


def _deciding(config: IntentConfig) -> dict[str, Any]:
    """The settings of model and training that decide the weights, by dotted name.

    The number of epochs is one where the learning rate falls towards the end of the last.
    """
    sections = config.model_dump(mode="json", include={"model", "train"})
    named = ((f"{name}.{key}", v) for name, part in sections.items() for key, v in part.items())
    free = FREE - {"train.epochs"} if config.train.decay != "none" else FREE
    return {name: value for name, value in named if name not in free}
