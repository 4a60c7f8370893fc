"""What `intent sweep` refuses before anything runs, and what it draws."""

from __future__ import annotations

import json

import pytest

from intent.cli import run_command
from intent.config import load_config
from intent.errors import UsageError
from intent.sweep.ledger import Ledger, Trial
from intent.sweep.space import parse_space
from jobs.sweep import command
from jobs.sweeping import draw_trials, for_selection, measure, work_of
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs

SPACE = "train.learning_rate: {loguniform: [1e-4, 1e-2]}\nmodel.hidden: {choice: [4, 8]}\n"


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    build_samples(root, random_logs(users=2))
    return root


@pytest.mark.parametrize(
    ("space", "flags", "status", "told"),
    [
        (SPACE, ["--set", "train.validation_days=0"], 2, "nothing to choose by"),
        (SPACE, ["--trials", "0"], 2, "--trials must be at least 1"),
        (SPACE, ["--grace", "12"], 2, "must not exceed --max-epochs"),
        (SPACE, ["--out", "s3://bucket/sweep"], 2, "a folder that all nodes see"),
        (SPACE.replace("hidden", "hiden"), [], 2, "did you mean 'model.hidden'"),
        ("train.batch_size: {grid: [16, 32, 64]}", ["--trials", "2"], 2, "have 3 points"),
        ("train.bucket_lengths: {grid: [true, false]}", ["--set", "model.early_fusion=true"], 2,
         "trial 0000: train.bucket_lengths=true does not go with"),
        (SPACE, ["--set", "train.evaluation_days=2"], 1, "leaves no day to train on"),
    ],
)  # fmt: skip
def test_it_refuses_in_one_line(samples, tmp_path, capfd, space, flags, status, told):
    (tmp_path / "space.yaml").write_text(space)
    out = tmp_path / "out"
    words = ["--samples", str(samples), "--out", str(out), "--space", str(tmp_path / "space.yaml")]
    assert run_command(command, words + flags) == status
    printed = capfd.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("intent: ")]
    assert len(lines) == 1 and told in lines[0], printed.err
    assert not out.exists() and printed.out == ""


def test_trials_are_compared_by_days_of_their_own():
    assert for_selection(load_config(), 5).train.validation_days == 1
    two = for_selection(load_config(overrides=["train.validation_days=2"]), 5)
    assert (two.train.validation_days, two.train.epochs) == (2, 5)
    with pytest.raises(UsageError, match="for `intent evaluate` alone"):
        for_selection(load_config(overrides=["train.validation_days=0"]), 5)


def test_the_same_seed_gives_the_same_configurations():
    space = parse_space({"train.learning_rate": {"loguniform": [1e-4, 1e-2]}}, "s")
    settings = for_selection(load_config(), 5)
    drawn, each = draw_trials(space, settings, 7, 6, "s")
    again, same = draw_trials(space, settings, 7, 9, "s")  # three more change nothing
    assert list(drawn) == ["0000", "0001", "0002", "0003", "0004", "0005"]
    assert all(again[id] == drawn[id] and same[id] == each[id] for id in drawn)
    assert all(each[id].train.learning_rate == v["train.learning_rate"] for id, v in drawn.items())
    other, _ = draw_trials(space, settings, 8, 6, "s")
    assert all(other[id] != drawn[id] for id in drawn)


def test_what_is_fitted_is_one_process_with_the_cores_of_all_ranks(samples, tmp_path):
    ledger = Ledger(tmp_path, {}, {})
    network, fitted = (
        work_of(ledger, str(samples), load_config(overrides=[f"model.kind={kind}"]), 2, 3, "0000")
        for kind in ("dipn", "gbdt")
    )
    assert (network.ranks, network.cores, network.halved) == (2, 3, True)
    assert (fitted.ranks, fitted.cores, fitted.halved) == (1, 6, False)
    assert "--np" in network.commands[0] and "--np" not in fitted.commands[0]


def test_what_a_stopped_trial_did_before_it_ended_does_not_count(tmp_path):
    settings = {"model": {"kind": "dipn"}, "train": {"keep_best": True}}
    trials = {id: Trial(id, {}) for id in ("0000", "0001")}
    ledger = Ledger(tmp_path, {"settings": settings}, trials)
    for id in trials:
        ledger.run(id).mkdir(parents=True)
        records = [
            {"kind": "validation", "step": 5, "epoch": epoch, "groups": 9, "auc_realtime": auc}
            for epoch, auc in enumerate([0.5, 0.6, 0.7])
        ]
        text = "".join(json.dumps(record) + "\n" for record in records)
        (ledger.run(id) / "metrics.jsonl").write_text(text)
    ledger.note("0000", state="stopped", epochs=1)
    ledger.note("0001", state="ended")
    for id in trials:
        measure(ledger, id)
    assert [(t.epochs, t.score) for t in ledger.trials.values()] == [(1, 0.5), (3, 0.7)]
