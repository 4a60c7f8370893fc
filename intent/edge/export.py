"""From a trained model to what a device needs: a LiteRT model, its dictionaries, and a bundle.json.

LiteRT has no GRU operator, so each GRU becomes a loop, and that needs a static batch: the model is
rebuilt for a batch of one group and takes over the weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import intent
from intent.config import ModelConfig
from intent.edge.check import CHECKED_GROUPS, largest_difference
from intent.edge.recalibrated import in_graph
from intent.edge.runtime import BUNDLE, DICTIONARIES, FORMAT, MODEL, SIGNATURE
from intent.errors import IntentError, UsageError
from intent.evaluation.recalibration import Recalibration
from intent.progress import progress
from intent.samples.undersampling import check_correctable, recalibrate
from intent.schema import Schema

if TYPE_CHECKING:
    import keras

# Largest difference of a probability from the trained model's that is accepted. Float32 differs by
# rounding (2e-6 measured). Dynamic range keeps weights in 8 bits and rounds what goes into them to
# 8 bits as well: see docs/decisions/device-quantization.md for what was measured.
ACCEPTED = {"none": 1e-4, "dynamic": 0.1}


def export_model(
    model: keras.Model | str | Path,
    schema: Schema,
    config: ModelConfig,
    dictionaries: Mapping[str, object],
    out_dir: str | Path,
    quantize: str = "dynamic",
    samples: Mapping[str, object] | None = None,
    learnt_rate: float = 1.0,
    recalibration: Recalibration | None = None,
) -> dict:
    """Write the bundle OUT/{model.tflite, dictionaries.json, bundle.json}, all of it or nothing.

    The converted model is run on random groups against `model` before anything is put in place.

    Args:
        model: the trained model, or the path of its .keras file.
        schema: of the data that it was trained on.
        config: with which it was built.
        dictionaries: of the vocabulary features, as JSON takes them.
        out_dir: the bundle's folder; an older bundle there is replaced.
        quantize: "dynamic" (weights in 8 bits, a quarter of the size) or "none" (float32).
        samples: settings of the samples that it was trained on, as their manifest has them. The
            bundle keeps them.
        learnt_rate: share of the negatives that it learnt from (`undersampling.learnt_rate`); the
            exported model gives scores that are put right for it.
        recalibration: of the run, if it has one; the exported model applies it too.

    Returns:
        A summary: "folder", "quantization", "parameters", "bytes" by file, "size_mib" of all
        files, "groups_checked" and "max_difference" (of probabilities).

    Raises:
        UsageError: `quantize` is neither.
        IntentError: the model does not fit schema and configuration, its scores cannot be put
            right, it differs too much after the conversion, or the bundle cannot be written.
    """
    if quantize not in ACCEPTED:
        raise UsageError(f"quantize is {quantize!r}, expected one of {', '.join(ACCEPTED)}")
    with progress("exporting", total=3) as bar:
        trained = _load(model) if isinstance(model, (str, Path)) else model
        single = _for_one_group(trained, schema, config)
        check_correctable(list(single.output), schema.tasks, learnt_rate)
        bar.advance()
        content = _convert(single, quantize, schema, learnt_rate, recalibration)
        bar.advance()
        difference = largest_difference(trained, content, schema, learnt_rate, recalibration)
        bar.advance(max_difference=difference)
    if not difference <= ACCEPTED[quantize]:
        advice = " or export with quantize=none" if quantize != "none" else ""
        raise IntentError(
            f"the converted model's scores differ from the trained model's by {difference:.3g}, "
            f"more than {ACCEPTED[quantize]:g}; nothing was written. Train again{advice}"
        )
    files = {
        MODEL: content,
        DICTIONARIES: json.dumps(dictionaries, ensure_ascii=False, sort_keys=True).encode(),
    }
    bundle = {
        "format": FORMAT,
        "version": intent.__version__,
        "schema": schema.to_dict(),
        "schema_hash": schema.hash(),
        "model": config.model_dump(),
        "samples": dict(samples or {}),
        "negative_rate_of_training": learnt_rate,
        "recalibration": recalibration and recalibration.about(),
        "tasks": list(single.output),
        "inputs": {
            name: {"shape": list(t.shape[1:]), "dtype": t.dtype} for name, t in single.input.items()
        },
        "quantization": quantize,
        "max_difference": difference,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
    }
    files[BUNDLE] = json.dumps(bundle, indent=1, ensure_ascii=False).encode()
    _write(files, Path(out_dir))
    return {
        "folder": str(out_dir),
        "quantization": quantize,
        "parameters": single.count_params(),
        "bytes": {name: len(data) for name, data in files.items()},
        "size_mib": sum(map(len, files.values())) / 2**20,
        "groups_checked": CHECKED_GROUPS,
        "max_difference": difference,
    }


def _load(path: str | Path) -> keras.Model:
    from intent.models import load

    if not Path(path).is_file():
        raise IntentError(f"no trained model at {path}; train one first (intent train)")
    try:
        return load(path)
    except (OSError, ValueError) as error:
        raise IntentError(f"{path} is not a model of this program: {_line(error)}") from error


def _for_one_group(trained: keras.Model, schema: Schema, config: ModelConfig) -> keras.Model:
    """The same model with a static batch of 1."""
    from intent.models import build

    single = build(schema, config, batch=1)
    expected, got = ([(w.path, tuple(w.shape)) for w in m.weights] for m in (single, trained))
    if expected != got:
        differing = sorted(set(got) ^ set(expected))[:3]
        raise IntentError(
            f"the trained model is not what its configuration describes; differing weights: "
            f"{differing}. Export with the configuration of its run"
        )
    single.set_weights(trained.get_weights())
    return single


def _convert(
    single: keras.Model,
    quantize: str,
    schema: Schema,
    rate: float,
    recalibration: Recalibration | None,
) -> bytes:
    """A LiteRT model with one signature: source -> ids [1, ...] to task -> probability [1].

    What undersampling did to the scores is undone in the model itself, and a recalibration is a
    part of it: no app can forget them.
    """
    import tensorflow as tf

    from intent.models import kernels

    @tf.function
    def score(**inputs):
        logits = single(inputs, training=False)
        scores = {task: tf.sigmoid(logit) for task, logit in logits.items()}
        scores = recalibrate(scores, schema.tasks, rate)
        if recalibration is not None:
            scores = {t: in_graph(recalibration.maps[t], p) for t, p in scores.items()}
        return scores

    specs = {n: tf.TensorSpec(t.shape, t.dtype, name=n) for n, t in single.input.items()}
    module = tf.Module()
    module.weights = [w.value for w in single.weights]
    module.score = score
    with kernels.portable():  # the phone has none
        signature = score.get_concrete_function(**specs)
    try:
        with tempfile.TemporaryDirectory(prefix="intent-export-") as folder:
            tf.saved_model.save(module, folder, signatures={SIGNATURE: signature})
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, [SIGNATURE])
            if quantize == "dynamic":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            return converter.convert()
    except OSError as error:
        raise _disk(error, tempfile.gettempdir()) from error


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write `files` into a new folder next to `folder`, then put it in place of `folder`."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(folder.parent) as scratch:
            new = scratch / "new"
            new.mkdir()
            for name, data in files.items():
                with open(new / name, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            if folder.exists():
                folder.rename(scratch / "old")
            new.rename(folder)
    except OSError as error:
        raise _disk(error, folder) from error


@contextmanager
def _scratch(parent: Path):
    folder = Path(tempfile.mkdtemp(prefix=".bundle-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _disk(error: OSError, place) -> IntentError:
    return IntentError(f"cannot write the bundle to {place}: {error.strerror or error}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
