"""`model.kind` from samples to figures: every kind is an ordinary run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from intent.baselines.table import read_table
from intent.cli import run_command
from intent.config import load_config
from intent.errors import IntentError, UsageError
from intent.evaluation.predict import Predictions
from intent.samples.reader import open_samples
from intent.schema import DAY_MS
from intent.sweep.curve import scores_of
from intent.training.comm import Solo
from intent.training.run_dir import read_run
from jobs.evaluate import evaluate_run, load_model
from jobs.explain import explain_run
from jobs.export import export_run
from jobs.train import command, feeds, train
from jobs.train_counted import train_counted
from tests.support.build import build_samples
from tests.support.raw_logs import START, random_logs

SMALL = [
    "train.batch_size=64", "model.hidden=3", "model.action_width=4", "model.context_width=4",
    "model.branch_units=[4]", "model.rounds=20",
]  # fmt: skip
COUNTED = ["gbdt", "gbdt_touch", "logistic"]
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("rnn_dnn", "lstm")]


def settings(kind: str, *more: str):
    return load_config(overrides=[*SMALL, f"model.kind={kind}", *more])


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    build_samples(root, random_logs(users=14, seed=1), row_group=100)
    return root


@pytest.mark.parametrize(
    "kind",
    ["cnn", *COUNTED, *(pytest.param(k, marks=pytest.mark.slow) for k in ("rnn_dnn", "lstm"))],
)
def test_a_run_of_each_kind_is_trained_and_evaluated(kind, samples, tmp_path):
    run = tmp_path / "run"
    summary = train(samples, run, settings(kind))
    assert summary["groups"] > 100 and summary["model"].endswith(read_run(run).model.name)
    for name in ("config.yaml", "manifest.json", "metrics.jsonl", "samples.txt"):
        assert (run / name).is_file(), name
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validated = [r for r in records if r["kind"] == "validation"]
    assert len(validated) == 1

    result, found = evaluate_run(run, samples)
    saved = Predictions.load(run / "predictions.parquet")
    for task, scores in found.scores.items():
        np.testing.assert_array_equal(saved.scores[task], scores)
        # The last record of training says what evaluation says: it is the same model, and days.
        told = validated[0][f"auc_{task}"]
        assert told == pytest.approx(result[f"auc_{task}"]["value"], abs=1e-6)
    manifest = open_samples(samples)
    assert result["groups"] == manifest.only(manifest.days[-1:]).groups
    assert (run / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("kind", ["gbdt_touch", "logistic"])
def test_the_same_seed_gives_the_same_run_and_a_finished_one_is_left_alone(kind, samples, tmp_path):
    first, second, other = (
        train(samples, tmp_path / name, settings(kind, f"train.seed={seed}"))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    names = sorted(p.name for p in (tmp_path / "a").glob("model*"))
    assert names == (["model.json"] if kind == "logistic" else
                     ["model-longterm.txt", "model-realtime.txt", "model.json"])  # fmt: skip

    def text(run: str) -> list[str]:
        return [(tmp_path / run / name).read_text() for name in names]

    assert text("a") == text("b")
    assert kind == "logistic" or text("a") != text("c")
    assert first["validation"] == second["validation"]
    before = (tmp_path / "a" / "model.json").stat().st_mtime_ns
    again = train(samples, tmp_path / "a", settings(kind))
    assert again["groups"] == 0 and again["validation"] == first["validation"]
    assert (tmp_path / "a" / "model.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("kind", ["gbdt", "logistic"])
def test_with_days_to_choose_by_the_held_out_one_is_never_read(samples, tmp_path, kind):
    chosen = settings(kind, "train.validation_days=1")
    manifest = open_samples(samples)
    *_, validation, held_out = manifest.days
    there = tmp_path / "samples"
    shutil.copytree(samples, there)
    for shard in manifest.only([held_out]).shards:
        (there / shard.path).unlink()
    train_counted(there, tmp_path / "run", chosen, manifest)
    (score,) = scores_of(tmp_path / "run")  # by which a sweep chooses
    assert score.groups == manifest.only([validation]).groups and 0 < score.value < 1
    train_counted(samples, tmp_path / "again", chosen, manifest)
    assert scores_of(tmp_path / "again") == [score]
    with pytest.raises((IntentError, OSError)):  # control: where it is watched, it is missed
        train_counted(there, tmp_path / "control", settings(kind), manifest)


def learnt(samples, kind: str, *more: str):
    chosen = settings(kind, *more)
    feed, _ = feeds(samples, open_samples(samples), chosen, Solo())
    return read_table(feed)


def test_the_groups_are_those_that_a_network_learns_from(samples):
    """The same cuts, the same labels and weights, also where only some of them are read."""
    for more in ([], ["train.max_groups=50"], ["train.negative_rate=0.5"],
                 ["train.negative_rate=0.5", "train.weigh_negatives=true"]):  # fmt: skip
        table = learnt(samples, "gbdt", *more)
        feed, _ = feeds(samples, open_samples(samples), settings("dipn", *more), Solo())
        seen = {}
        for batch in feed.batches(0):
            for i in np.flatnonzero(batch.weights > 0):
                seen[batch.users[i], batch.times[i]] = (*batch.labels[i], batch.weights[i])
        rows = zip(table.users, table.times, table.labels, table.weights, strict=True)
        assert {(u, t): (*y, w) for u, t, y, w in rows} == seen


def test_where_epochs_have_other_groups_all_of_them_are_seen(samples, tmp_path):
    groups = {}
    for epochs in (1, 3):
        more = [f"train.epochs={epochs}", "train.max_groups=70"]
        groups[epochs] = train(samples, tmp_path / str(epochs), settings("gbdt", *more))["groups"]
    assert groups == {1: 70, 3: 210}
    whole = train(samples, tmp_path / "whole", settings("gbdt", "train.epochs=3"))
    manifest = open_samples(samples)
    assert whole["groups"] == manifest.only(manifest.days[:-1]).groups


def test_what_happens_after_a_cut_does_not_change_its_features(tmp_path):
    """Every event after a moment is altered, but not when it was; so the cuts are the same."""
    moment = START + 3 * DAY_MS // 2
    logs, altered = random_logs(users=6, seed=2), random_logs(users=6, seed=2)
    for name, columns in {
        "browse": {
            "type": "purchase",
            "page": "Page_Home",
            "stay_ms": 7.0,
            "leaf_category": "hats",
        },
        "tap": {"event": "button", "button": "Button-Buy", "page": "Page_Cart"},
        "touch": {"page": "Page_Cart", "duration_ms": 33.0},
    }.items():
        later = altered[name]["timestamp"] > moment
        assert later.any()
        for column, value in columns.items():
            altered[name].loc[later, column] = value
    tables = []
    for name, tables_of in (("as_it_was", logs), ("altered", altered)):
        build_samples(tmp_path / name, tables_of, drop_duplicates=False)
        tables.append(learnt(tmp_path / name, "gbdt_touch", "train.evaluation_days=1"))
    one, two = (
        dict(zip(zip(t.users, t.times, strict=True), t.values, strict=True)) for t in tables
    )
    before = [key for key in one if key[1] <= moment]
    after = [key for key in one if key[1] > moment and key in two]
    assert len(before) > 50 and len(after) > 20
    for key in before:
        np.testing.assert_array_equal(one[key], two[key])
    changed = [not np.array_equal(one[key], two[key], equal_nan=True) for key in after]
    assert np.mean(changed) > 0.9  # control: those that see the altered events do change


def test_what_needs_a_network_says_so(samples, tmp_path):
    run = tmp_path / "run"
    train(samples, run, settings("gbdt"))
    for ask in (lambda: export_run(run), lambda: explain_run(run, "user-1")):
        with pytest.raises(UsageError, match="no network, and there is nothing to ex"):
            ask()


def test_more_than_one_process_and_an_unknown_kind_are_refused(samples, tmp_path, capfd):
    plain = ["--samples", str(samples), "--run", str(tmp_path / "run"), "--set"]
    for more in (["--np", "2"], ["--hosts", "a:1,b:1"], ["--elastic"]):
        assert run_command(command, [*plain, "model.kind=gbdt", *more]) == 2
        assert "leave away --np" in capfd.readouterr().err
    assert run_command(command, [*plain, "model.kind=svm"]) == 2
    assert "model.kind" in (told := capfd.readouterr().err) and "gbdt_touch" in told
    assert run_command(command, [*plain, "model.sources=browse"]) == 2
    assert "--set 'model.sources=[one, another]'" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_many_ranks_are_refused(samples, tmp_path, monkeypatch):
    monkeypatch.setenv("HOROVOD_SIZE", "2")
    with pytest.raises(UsageError, match="fitted by one process"):
        train(samples, tmp_path / "run", settings("logistic"))
    assert not (tmp_path / "run").exists()


def test_an_untrained_run_is_told_by_its_model_s_name(samples, tmp_path):
    run = tmp_path / "run"
    train(samples, run, settings("gbdt"))
    (run / "model.json").unlink()
    with pytest.raises(IntentError, match="has no model.json: training has not ended"):
        load_model(read_run(run))
