"""The account of a sweep: what it knows after a kill, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from intent.errors import IntentError
from intent.sweep.ledger import NAME, alone, open_ledger

ASKED = {
    "samples": "/s", "seed": 0,
    "settings": {"model": {"kind": "dipn"}, "train": {"batch_size": 256}},
}  # fmt: skip
DRAWN = {f"{n:04d}": {"train.learning_rate": 0.001 * (n + 1)} for n in range(4)}


def test_what_had_ended_is_known_again(tmp_path):
    ledger = open_ledger(tmp_path, ASKED, DRAWN)
    ledger.note("0000", state="ended", score=0.7, epoch=2, epochs=3)
    ledger.note("0001", state="stopped", score=0.8, epochs=1)
    ledger.note("0002", state="failed", reason="the loss is nan")
    ledger.save()
    ledger.note("0003", state="ended")  # and was killed before it was saved
    again = open_ledger(tmp_path, ASKED, DRAWN)
    assert [t.state for t in again.trials.values()] == ["ended", "stopped", "failed", "waiting"]
    assert again.trials["0000"] == ledger.trials["0000"]
    assert again.winner().id == "0000"  # a trial that was stopped has no model


@pytest.mark.parametrize("model", ["model.keras", "model.json"])
def test_a_trial_whose_end_nobody_noted_has_ended(tmp_path, model):
    open_ledger(tmp_path, ASKED, DRAWN).save()
    run = open_ledger(tmp_path, ASKED, DRAWN).run("0002")
    run.mkdir(parents=True)
    assert open_ledger(tmp_path, ASKED, DRAWN).trials["0002"].state == "waiting"
    (run / "model-realtime.txt").write_bytes(b"x")  # a part of a fitted one
    assert open_ledger(tmp_path, ASKED, DRAWN).trials["0002"].state == "waiting"
    (run / model).write_bytes(b"x")
    assert open_ledger(tmp_path, ASKED, DRAWN).trials["0002"].state == "ended"


def test_which_trials_are_fitted_without_epochs(tmp_path):
    drawn = {"0000": {"model.kind": "lstm"}, "0001": {"model.kind": "logistic"}, "0002": {}}
    ledger = open_ledger(tmp_path, ASKED, drawn)
    assert [ledger.fitted(id) for id in drawn] == [False, True, False]
    ledger.asked["settings"]["model"]["kind"] = "gbdt"
    assert [ledger.fitted(id) for id in drawn] == [False, True, True]


def test_trials_may_be_added_but_not_taken_away(tmp_path):
    open_ledger(tmp_path, ASKED, DRAWN).save()
    more = DRAWN | {"0004": {"train.learning_rate": 0.5}}
    ledger = open_ledger(tmp_path, ASKED, more)
    assert list(ledger.trials) == list(more)
    ledger.save()
    with pytest.raises(IntentError, match="has 5 trials, now it is asked for 4"):
        open_ledger(tmp_path, ASKED, DRAWN)


def test_another_question_is_refused_by_its_name(tmp_path):
    open_ledger(tmp_path, ASKED, DRAWN).save()
    other = ASKED | {"settings": ASKED["settings"] | {"train": {"batch_size": 64}}}
    with pytest.raises(IntentError, match=r"settings\.train\.batch_size=256, now it is 64"):
        open_ledger(tmp_path, other, DRAWN)
    (tmp_path / NAME).write_text("{")
    with pytest.raises(IntentError, match="no account of a sweep"):
        open_ledger(tmp_path, ASKED, DRAWN)


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "letters").mkdir()
    with pytest.raises(IntentError, match="holds files but no sweep"):
        open_ledger(tmp_path, ASKED, DRAWN)


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    other = (
        "import sys; from pathlib import Path; from intent.sweep.ledger import alone\n"
        "with alone(Path(sys.argv[1])): pass"
    )

    def status() -> int:
        words = [sys.executable, "-c", other, str(tmp_path)]
        return subprocess.run(words, capture_output=True).returncode

    with alone(tmp_path):
        assert status() != 0
    assert status() == 0  # the lock was all that stood against it
