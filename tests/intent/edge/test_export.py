"""Export and the device runtime together: one small model, converted once per quantization."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from intent.config import ModelConfig
from intent.edge import export
from intent.edge.check import random_groups
from intent.edge.runtime import Bundle
from intent.errors import IntentError, UsageError
from intent.models import dipn
from intent.samples.undersampling import recalibrate
from tests.intent.groups import small_schema

SCHEMA = small_schema(length=16)
CONFIG = ModelConfig(hidden=4, action_width=4, context_width=4, position_width=3, branch_units=[6])
NAMES = {"tap.button": {"names": ["Kaufen", "戻る"], "counts": [2, 1]}}


def trained(config: ModelConfig = CONFIG) -> keras.Model:
    """A model with weights of some size, so that scores are spread."""
    model = dipn.build(SCHEMA, config)
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(0, 0.4, w.shape))
    return model


def probabilities(model, inputs) -> dict[str, np.ndarray]:
    logits = model({name: inputs[name] for name in model.input})
    return {task: keras.ops.sigmoid(x).numpy() for task, x in logits.items()}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return trained()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> tuple[Path, dict]:
    """(the bundle's folder, the summary of its export), float32."""
    folder = tmp_path_factory.mktemp("run") / "device"
    return folder, export.export_model(model, SCHEMA, CONFIG, NAMES, folder, quantize="none")


@pytest.fixture
def copy(exported, tmp_path) -> Path:
    """A bundle that a test may damage."""
    for file in exported[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_device_scores_equal_the_trainer_s(model, exported):
    inputs = random_groups(SCHEMA, 12, seed=5)
    expected = probabilities(model, inputs)
    got = Bundle.load(exported[0]).predict(inputs)
    assert list(got) == ["realtime", "longterm"]
    for task, p in expected.items():
        assert np.ptp(p) > 0.05 and got[task].dtype == np.float32
        np.testing.assert_allclose(got[task], p, atol=2e-6)


def test_the_bundle_says_what_it_holds(exported):
    folder, summary = exported
    about = json.loads((folder / "bundle.json").read_text())
    assert {f.name for f in folder.iterdir()} == {
        "model.tflite",
        "dictionaries.json",
        "bundle.json",
    }
    for name, file in about["files"].items():
        data = (folder / name).read_bytes()
        assert file == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        assert summary["bytes"][name] == len(data)
    assert summary["size_mib"] * 2**20 == sum(f.stat().st_size for f in folder.iterdir())
    assert summary["max_difference"] == about["max_difference"] < 1e-5
    bundle = Bundle.load(folder)
    assert bundle.schema == SCHEMA and bundle.dictionaries == NAMES
    assert bundle.model == CONFIG.model_dump() and bundle.quantization == "none"
    assert bundle.tasks == ("realtime", "longterm")
    assert set(bundle.sources) == {"swipe", "tap", "browse", "history", "profile"}


def test_dynamic_range_is_smaller_and_within_what_is_accepted(tmp_path, model, exported):
    model.save(tmp_path / "model.keras")
    summary = export.export_model(
        str(tmp_path / "model.keras"), SCHEMA, CONFIG, NAMES, tmp_path / "device"
    )
    assert summary["quantization"] == "dynamic"
    assert summary["bytes"]["model.tflite"] < exported[1]["bytes"]["model.tflite"]
    inputs = random_groups(SCHEMA, 12, seed=5)
    expected = probabilities(model, inputs)
    got = Bundle.load(tmp_path / "device").predict(inputs)
    worst = max(np.abs(got[t] - expected[t]).max() for t in expected)
    assert worst <= export.ACCEPTED["dynamic"]
    assert [f.name for f in tmp_path.iterdir() if f.name.startswith(".")] == []


def test_early_fusion_of_the_paper_s_gru_with_other_head_and_scale_exports_too(tmp_path):
    variant = {"early_fusion": True, "reset_after": False, "attention_scale": "length"}
    config = CONFIG.model_copy(update={**variant, "position_width": None})
    model = trained(config)
    export.export_model(model, SCHEMA, config, NAMES, tmp_path / "device", quantize="none")
    inputs = random_groups(SCHEMA, 4, seed=2)
    bundle, expected = Bundle.load(tmp_path / "device"), probabilities(model, inputs)
    assert "fusion" in bundle.sources
    for task, p in bundle.predict(inputs).items():
        np.testing.assert_allclose(p, expected[task], atol=2e-6)


def test_the_device_puts_right_what_undersampling_did(model, exported, tmp_path):
    folder, samples = tmp_path / "device", {"negative_rate": 0.5, "session_gap_minutes": 0.5}
    summary = export.export_model(model, SCHEMA, CONFIG, NAMES, folder, "none", samples, 0.05)
    about = json.loads((folder / "bundle.json").read_text())
    assert about["samples"] == samples and about["negative_rate_of_training"] == 0.05
    assert Bundle.load(folder).session_gap_ms == 30_000
    assert Bundle.load(exported[0]).session_gap_ms is None
    inputs = random_groups(SCHEMA, 12, seed=5)
    raw = probabilities(model, inputs)
    expected = recalibrate(raw, SCHEMA.tasks, 0.05)
    got = Bundle.load(folder).predict(inputs)
    for task, p in expected.items():
        np.testing.assert_allclose(got[task], p, atol=2e-6)
        assert np.abs(p - raw[task]).max() > 0.2  # it does something
    assert summary["max_difference"] < 1e-5


def test_a_model_whose_scores_cannot_be_put_right_is_refused(tmp_path):
    config = CONFIG.model_copy(update={"tasks": ["realtime"]})
    model = trained(config)
    with pytest.raises(IntentError, match="can be put right with longterm beside them"):
        export.export_model(model, SCHEMA, config, NAMES, tmp_path / "device", learnt_rate=0.5)
    assert not (tmp_path / "device").exists()


def test_a_conversion_that_differs_is_refused_and_leaves_the_old_bundle(
    exported, model, copy, monkeypatch
):
    before = (copy / "bundle.json").read_bytes()
    other = trained()
    for w in other.weights:
        w.assign(w.numpy() * 2)
    converted = (copy / "model.tflite").read_bytes()  # of `model`, not of `other`
    monkeypatch.setattr(export, "_convert", lambda *_: converted)
    with pytest.raises(IntentError, match="differ from the trained model's by .* nothing was"):
        export.export_model(other, SCHEMA, CONFIG, NAMES, copy, quantize="none")
    assert (copy / "bundle.json").read_bytes() == before
    assert sorted(f.name for f in copy.iterdir()) == sorted(
        ["bundle.json", "model.tflite", "dictionaries.json"]
    )


def test_an_older_bundle_is_replaced_whole(exported, copy):
    (copy / "left_over").write_text("x")
    files = {f.name: f.read_bytes() for f in exported[0].iterdir()}
    export._write(files, copy)
    assert {f.name: f.read_bytes() for f in copy.iterdir()} == files


def test_a_bundle_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IntentError, match="cannot write the bundle to .*file"):
        export._write({"a": b""}, tmp_path / "file" / "device")


@pytest.mark.parametrize("name", ["model.tflite", "dictionaries.json"])
def test_a_file_that_was_altered_is_named(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(IntentError, match=f"{name} is not the file that was exported"):
        Bundle.load(copy)


def test_a_bundle_file_that_is_missing_altered_or_no_json_is_named(copy):
    text = (copy / "bundle.json").read_text()
    (copy / "bundle.json").write_text(text.replace('"length": 16', '"length": 32'))
    with pytest.raises(IntentError, match="bundle.json was altered"):
        Bundle.load(copy)
    (copy / "bundle.json").write_text(text[:100])
    with pytest.raises(IntentError, match="bundle.json is damaged"):
        Bundle.load(copy)
    (copy / "bundle.json").write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(IntentError, match="has format 9, this program reads 1"):
        Bundle.load(copy)
    (copy / "bundle.json").write_text(text)
    (copy / "model.tflite").unlink()
    with pytest.raises(IntentError, match="cannot read .*model.tflite"):
        Bundle.load(copy)


def test_inputs_that_do_not_fit_are_named(exported):
    bundle = Bundle.load(exported[0])
    inputs = random_groups(SCHEMA, 2)
    del inputs["fusion"]
    with pytest.raises(IntentError, match="the model needs .*'tap'"):
        bundle.predict({k: v for k, v in inputs.items() if k != "tap"})
    with pytest.raises(IntentError, match=r"tap: got uint8 \(2, 15, 3\), expected integers"):
        bundle.predict({**inputs, "tap": inputs["tap"][:, 1:]})
    with pytest.raises(IntentError, match="same number of groups"):
        bundle.predict({**inputs, "tap": inputs["tap"][:1]})
    wrong = inputs["tap"].astype(np.int64)
    wrong[0, 0] = [1, 1, 42]
    with pytest.raises(IntentError, match="tap.button: id 42, expected 0 to 41"):
        bundle.predict({**inputs, "tap": wrong})
    wrong[0, 0] = [1, -1, 1]
    with pytest.raises(IntentError, match="tap: ids from -1"):
        bundle.predict({**inputs, "tap": wrong})
    assert all(len(p) == 0 for p in bundle.predict({k: v[:0] for k, v in inputs.items()}).values())


def test_wider_integers_give_the_same_scores(exported):
    bundle = Bundle.load(exported[0])
    inputs = random_groups(SCHEMA, 3)
    expected = bundle.predict(inputs)
    for task, p in bundle.predict({k: v.astype(np.int64) for k, v in inputs.items()}).items():
        np.testing.assert_array_equal(p, expected[task])


def test_a_model_of_another_configuration_is_refused(model, tmp_path):
    other = CONFIG.model_copy(update={"intra_view": False})
    with pytest.raises(IntentError, match="differing weights: .*intra_view"):
        export.export_model(model, SCHEMA, other, NAMES, tmp_path / "device")
    with pytest.raises(IntentError, match="no trained model at"):
        export.export_model(tmp_path / "model.keras", SCHEMA, CONFIG, NAMES, tmp_path / "device")
    with pytest.raises(UsageError, match="quantize is 'int4', expected one of none, dynamic"):
        export.export_model(model, SCHEMA, CONFIG, NAMES, tmp_path / "device", quantize="int4")


def test_scoring_needs_no_tensorflow_keras_or_spark(exported):
    program = """
import sys
for name in ("tensorflow", "keras", "pyspark", "horovod", "ray", "petastorm"):
    sys.modules[name] = None  # an import of it raises
import numpy as np
from intent.edge.runtime import Bundle
bundle = Bundle.load(sys.argv[1])
s = bundle.schema
inputs = {v.name: np.zeros((2, s.length, v.width), v.dtype) for v in s.views}
inputs |= {n: np.ones((2, len(getattr(s, n))), "u1") for n in ("history", "profile")}
scores = bundle.predict(inputs)
assert all(0 < p < 1 for task in bundle.tasks for p in scores[task])
print(*scores)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(exported[0])],
        capture_output=True,
        text=True,
        cwd=Path(export.__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["realtime", "longterm"]
