"""Scores sample groups with an exported bundle, by the LiteRT interpreter alone.

This file imports neither TensorFlow nor Keras nor Spark: it is what runs on a device.

Letters: n groups, N positions of a window, F features of an action.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intent.config import SamplesConfig
from intent.errors import IntentError
from intent.quiet import stderr_held
from intent.schema import Schema

BUNDLE, MODEL, DICTIONARIES = "bundle.json", "model.tflite", "dictionaries.json"
FORMAT = 1  # of bundle.json
SIGNATURE = "serving_default"


class Scorer:
    """A LiteRT model in memory: source -> ids of one group, to task -> probability."""

    def __init__(self, content: bytes, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with stderr_held():
            # The interpreter reads its model from these bytes for as long as it lives.
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        self._run = self._interpreter.get_signature_runner(SIGNATURE)
        self.inputs = {
            name: (tuple(map(int, d["shape"][1:])), np.dtype(d["dtype"]))
            for name, d in self._run.get_input_details().items()
        }
        self.tasks = tuple(self._run.get_output_details())

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ids [n, ...] of every source -> probabilities [n] float32 per task, group by group.

        Sources that the model does not take are ignored.

        Raises:
            IntentError: a source is missing, or its shape or ids do not fit the model's input.
        """
        checked = {name: self._checked(name, inputs) for name in self.inputs}
        counts = {len(ids) for ids in checked.values()}
        if len(counts) != 1:
            sizes = {name: len(ids) for name, ids in checked.items()}
            raise IntentError(f"every source must have the same number of groups; got {sizes}")
        n = counts.pop()
        scores = {task: np.empty(n, np.float32) for task in self.tasks}
        for i in range(n):
            one = self._run(**{name: ids[i : i + 1] for name, ids in checked.items()})
            for task in self.tasks:
                scores[task][i] = one[task][0]
        return scores

    def _checked(self, name: str, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if name not in inputs:
            raise IntentError(f"the model needs {sorted(self.inputs)}; got {sorted(inputs)}")
        shape, dtype = self.inputs[name]
        ids = np.asarray(inputs[name])
        if ids.shape[1:] != shape or ids.ndim != len(shape) + 1 or ids.dtype.kind not in "iu":
            expected = ", ".join(map(str, ("n", *shape)))
            raise IntentError(
                f"{name}: got {ids.dtype} {ids.shape}, expected integers of shape ({expected})"
            )
        if ids.dtype == dtype:
            return ids
        limit = np.iinfo(dtype).max
        if ids.size and not 0 <= ids.min() <= ids.max() <= limit:
            raise IntentError(
                f"{name}: ids from {ids.min()} to {ids.max()}, expected 0 to {limit} ({dtype})"
            )
        return ids.astype(dtype)


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory, its files verified.

    Attributes:
        folder: where it came from.
        schema: of the data that the model was trained on.
        dictionaries: of the vocabulary features, as they stand in dictionaries.json.
        model: the model's configuration.
        samples: how the samples were made that it learnt from.
        tasks: names of the scores.
        sources: what the model takes, a part of the schema's sources and, for early fusion,
            "fusion".
        quantization: "dynamic" or "none".
    """

    folder: Path
    schema: Schema
    dictionaries: dict
    model: dict
    samples: SamplesConfig
    tasks: tuple[str, ...]
    sources: tuple[str, ...]
    quantization: str
    scorer: Scorer

    @staticmethod
    def load(folder: str | Path) -> Bundle:
        """Read and verify a bundle.

        Raises:
            IntentError: a file is missing, or is not the one that was exported (its name is in
                the message).
        """
        folder = Path(folder)
        try:
            about = json.loads(_read(folder / BUNDLE))
            if about["format"] != FORMAT:
                raise IntentError(
                    f"{folder / BUNDLE} has format {about['format']}, this program reads {FORMAT}; "
                    "export the model again"
                )
            schema = Schema.from_dict(about["schema"])
            stated = {name: file["sha256"] for name, file in about["files"].items()}
            samples = SamplesConfig(**about.get("samples", {}))
            intact = schema.hash() == about["schema_hash"] and {MODEL, DICTIONARIES} <= set(stated)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntentError(f"{folder / BUNDLE} is damaged; export the model again") from error
        if not intact:
            raise IntentError(f"{folder / BUNDLE} was altered; export the model again")
        files = {name: _verified(folder / name, sha256) for name, sha256 in stated.items()}
        return Bundle(
            folder=folder,
            schema=schema,
            dictionaries=json.loads(files[DICTIONARIES]),
            model=about["model"],
            samples=samples,
            tasks=tuple(about["tasks"]),
            sources=tuple(about["inputs"]),
            quantization=about["quantization"],
            scorer=Scorer(files[MODEL]),
        )

    @property
    def session_gap_ms(self) -> int | None:
        """Pause that ended a session in the samples, or None."""
        minutes = self.samples.session_gap_minutes
        return None if minutes is None else round(minutes * 60_000)

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ids [n, ...] of every source -> probabilities [n] float32 per task.

        A view is [n, N, F], "history" [n, 18], "profile" [n, 6], "fusion" [n, N]; any integer type.

        Raises:
            IntentError: a source is missing, or its shape or ids do not fit the schema.
        """
        for name in set(self.sources) & set(self.schema.sources) & set(inputs):
            self._check_ids(name, np.asarray(inputs[name]))
        scores = self.scorer.predict(inputs)
        return {task: scores[task] for task in self.tasks}

    def _check_ids(self, name: str, ids: np.ndarray) -> None:
        """An id beyond its dictionary would be read from outside its table."""
        flat = name in ("history", "profile")
        features = getattr(self.schema, name) if flat else self.schema.view(name).features
        if not ids.size or ids.shape[-1] != len(features):
            return  # the shape is the scorer's to judge
        largest = ids.reshape(-1, len(features)).max(axis=0)
        for feature, found in zip(features, largest, strict=True):
            if found >= feature.rows:
                raise IntentError(
                    f"{name}.{feature.name}: id {found}, expected 0 to {feature.rows - 1}; "
                    "encode the logs with this bundle's dictionaries"
                )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IntentError(
            f"cannot read {path}: {error.strerror}; a bundle is a folder made by intent export"
        ) from error


def _verified(path: Path, sha256: str) -> bytes:
    data = _read(path)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise IntentError(
            f"{path} is not the file that was exported: its SHA-256 is {found[:12]}..., "
            f"bundle.json says {sha256[:12]}...; export the model again"
        )
    return data
