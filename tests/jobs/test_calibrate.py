"""`intent calibrate` and `intent compare` on a run: what they write is what all others use."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from intent.cli import run_command
from intent.config import load_config
from intent.errors import IntentError
from intent.evaluation.recalibration import NAME, Recalibration
from intent.samples import manifest as manifests
from intent.samples.reader import TrackFeed
from jobs import calibrate, compare
from jobs.calibrate import calibrate_run
from jobs.evaluate import evaluate_run
from jobs.explain import explain_run
from jobs.export import export_run
from jobs.train import train
from tests.support import build
from tests.support.raw_logs import random_logs

SMALL = [
    "model.hidden=4", "model.action_width=4", "model.context_width=4", "train.batch_size=64",
    "train.validation_days=1", "train.purge=true",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(run, its samples, figures and scores before any calibration)."""
    root = tmp_path_factory.mktemp("calibrate")
    build.build_samples(
        root / "samples", random_logs(users=60, days=6, per_day=20), days=6, length=8
    )
    train(root / "samples", root / "run", load_config(overrides=SMALL))
    return root / "run", root / "samples", *evaluate_run(root / "run", root / "samples")


@pytest.fixture
def run(trained, tmp_path):
    """A copy that a test may calibrate."""
    shutil.copytree(trained[0], tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "method", ["temperature", pytest.param("isotonic", marks=pytest.mark.slow)]
)
def test_evaluation_explanation_and_device_give_the_calibrated_scores(trained, run, method):
    from intent.edge.runtime import Bundle

    _, samples, before, raw = trained
    told = calibrate_run(run, str(samples), method)
    manifest = manifests.load(samples)
    held_out, purged = manifest.days[-1], manifest.days[-2]
    assert told["days"] == [manifest.days[-3]] and not told["learnt"] and not told["notes"]
    assert told["held_out_days"] == [held_out] and purged not in told["days"]
    how = Recalibration.load(run / NAME)
    result, found = evaluate_run(run, samples)
    assert before["recalibration"] is None
    assert result["recalibration"]["held_out"] == told["held_out"]
    for task, p in raw.scores.items():
        np.testing.assert_array_equal(found.scores[task], how.maps[task](p))
        assert np.abs(found.scores[task] - p).max() > 1e-3
        assert result[f"auc_{task}"]["value"] == pytest.approx(before[f"auc_{task}"]["value"])
    report = (run / "report.html").read_text()
    assert "Recalibration" in report and method in report

    explanation, _ = explain_run(run, str(found.users[0]), samples=str(samples))
    scores = explanation.told["scores"]
    mine = [i for i in range(len(found.users)) if found.users[i] == found.users[0]]
    last = mine[int(np.argmax(found.times[mine]))]
    assert scores["longterm"] == pytest.approx(found.scores["longterm"][last], abs=1e-5)

    export_run(run, "none")
    bundle = Bundle.load(run / "device")
    about = json.loads((run / "device/bundle.json").read_text())
    assert about["recalibration"]["method"] == method
    feed = TrackFeed(samples, manifest.only([held_out]), manifest.schema, 256, shuffle=False)
    batch = next(feed.batches(0))
    device = bundle.predict({n: v[:30] for n, v in batch.inputs.items()})
    for task, p in found.scores.items():
        np.testing.assert_allclose(device[task], p[:30], atol=2e-5)

    assert calibrate_run(run, method="none")["removed"] and not (run / NAME).exists()
    assert not calibrate_run(run, method="none")["removed"]


def test_another_model_is_refused_before_anything_is_scored(trained, run):
    how = Recalibration("temperature", {}, "another", ["2024-10-04"], True, 1, 1, {})
    how.save(run / NAME)
    for use in (lambda: evaluate_run(run, trained[1]), lambda: export_run(run)):
        with pytest.raises(IntentError, match="another model.keras"):
            use()


def test_the_commands_speak(trained, run, tmp_path, capsys):
    samples = str(trained[1])
    given = ["--run", str(run), "--samples", samples]
    assert run_command(calibrate.command, given) == 0
    out = capsys.readouterr().out
    assert "calibration error" in out and "base rate" in out and "intent export" in out, out
    assert run_command(calibrate.command, [*given, "--method", "platt"]) == 2
    assert "temperature, isotonic, none; got 'platt'" in capsys.readouterr().err
    taken_away = ["--run", str(run), "--method", "none", "--json"]
    assert run_command(calibrate.command, taken_away) == 0
    assert json.loads(capsys.readouterr().out)["removed"]

    both = [str(trained[0]), str(trained[0])]
    assert run_command(compare.command, both) == 0
    out = capsys.readouterr().out
    assert "not told apart" in out and "it is the same model" in out.replace("\n", " ")
    assert run_command(compare.command, [*both, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["identical"]
    assert run_command(compare.command, [both[0], str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert "intent evaluate --run" in error and "writes it" in error


def test_the_evaluation_has_gain_slices_and_drift(trained):
    run, samples, result, found = trained
    assert json.loads((run / "evaluation.json").read_text()) == json.loads(json.dumps(result))
    assert {row["share"] for row in result["gain"]["longterm"]["at"]} == {0.01, 0.05, 0.1, 0.2}
    kinds = [row["kind"] for row in result["slices"]["rows"]]
    assert {"hour", "phone_price"} <= set(kinds)
    for kind in set(kinds):
        rows = [row for row in result["slices"]["rows"] if row["kind"] == kind]
        assert sum(row["groups"] for row in rows) == result["groups"], kind
    manifest = manifests.load(samples)
    assert result["drift"]["trained"]
    assert [row["day"] for row in result["drift"]["days"]] == [manifest.days[-5], manifest.days[-1]]
    assert set(found.facts) == {"past", "actions", "phone_price"}


@pytest.mark.slow
def test_facts_do_not_depend_on_what_the_model_reads(trained, tmp_path):
    _, samples, _, found = trained
    small = [*SMALL, "model.sources=[browse]"]
    train(samples, tmp_path / "run", load_config(overrides=small))
    _, other = evaluate_run(tmp_path / "run", samples)
    assert (other.facts["past"] == found.facts["past"]).all()
    assert (other.facts["actions"] <= found.facts["actions"]).all()
