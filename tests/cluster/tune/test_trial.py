"""A trial as a process: what is heard of it, how it is stopped, and who holds its run."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest

pytest.importorskip("ray.tune", reason="Ray Tune is not installed (make setup)")

from cluster.tune import trial as module  # noqa: E402
from cluster.tune.trial import Training  # noqa: E402
from cluster.tune.work import Work  # noqa: E402
from intent.errors import IntentError  # noqa: E402

# Stands in for training: validates as often as it is told, then does what it is told.
SCRIPT = """
import json, signal, sys, time
run, epochs, then = sys.argv[1], int(sys.argv[2]), sys.argv[3]
signal.signal(signal.SIGTERM, lambda *_: (print("checkpoint written", flush=True), sys.exit(1)))
with open(run + "/metrics.jsonl", "a", buffering=1) as file:
    for epoch in range(epochs):
        record = {"kind": "validation", "step": epoch, "epoch": epoch, "groups": 9}
        file.write(json.dumps(record | {"auc_a": 0.5 + epoch / 10}) + chr(10))
exec(then)
"""


@pytest.fixture
def begin(tmp_path):
    """Start a trial; all of them end with the test."""
    begun = []

    def start(
        epochs: int = 0, then: str = "", run: str = "run", after: tuple[str, ...] = ()
    ) -> Training:
        argv = ("-c", SCRIPT, str(tmp_path / run), str(epochs), then)
        commands = (argv, *(("-c", each) for each in after))
        work = Work("0000", str(tmp_path / run), commands, folder=str(tmp_path))
        begun.append(Training({"work": work.to_dict()}))
        return begun[-1]

    yield start
    for trial in begun:
        if trial.process is not None and trial.process.poll() is None:
            os.killpg(trial.process.pid, signal.SIGKILL)
        trial.cleanup()


def results(trial: Training, until: str = "end") -> list[dict]:
    found = [trial.step()]
    while until not in found[-1]:
        assert len(found) < 20
        found.append(trial.step())
    return found


def test_every_validation_is_told_once_and_then_the_end(begin):
    told = [r for r in results(begin(3)) if "score" in r]
    assert [(r["epoch"], r["score"]) for r in told[:3]] == [(1, 0.5), (2, 0.6), (3, 0.7)]
    assert told[-1] == {"epoch": 3, "score": 0.7, "done": True, "end": "ended", "why": ""}
    assert [r["done"] for r in told] == [False] * (len(told) - 1) + [True]


def test_the_next_command_is_begun_once_one_has_ended_well(begin, tmp_path):
    after = ("print('second')", "print('intent: no, third', flush=True); exit(1)", "print('4th')")
    last = results(begin(1, "print('first')", after=after))[-1]
    assert (last["end"], last["why"], last["score"]) == ("failed", "no, third", 0.5)
    lines = (tmp_path / "run" / "train.log").read_text().splitlines()
    said = [line for line in lines if not line.startswith("$ python") and " = " not in line]
    assert [line for line in said if line in ("first", "second", "4th")] == ["first", "second"]
    assert said[-1] == "intent: no, third"


def test_what_it_says_of_itself_is_final_and_kept(begin, tmp_path):
    then = "print('intent: the loss is nan', file=sys.stderr); sys.exit(1)"
    last = results(begin(1, then))[-1]
    assert (last["end"], last["why"]) == ("failed", "the loss is nan")
    assert "the loss is nan" in (tmp_path / "run" / "train.log").read_text()


def test_a_full_disk_is_not_its_own_fault(begin):
    then = "print('intent: the disk is full (/x)', file=sys.stderr); sys.exit(1)"
    assert results(begin(1, then))[-1]["end"] == "full"


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("raise SystemExit(70)", "crashed"),
        ("print('intent: stopped; the same command goes on'); sys.exit(1)", "goes on"),
    ],
)
def test_what_was_killed_or_crashed_is_begun_again(begin, then, told):
    with pytest.raises(RuntimeError, match=told):
        results(begin(1, then))
    again = begin(0)  # in the same run: what was validated before is told again
    assert results(again)[0]["epoch"] == 1


def test_without_news_a_step_ends_all_the_same(begin, monkeypatch):
    monkeypatch.setattr(module, "NEWS_S", 0.3)
    trial = begin(0, "time.sleep(60)")
    began = time.monotonic()
    assert trial.step() == {"epoch": 0, "done": False}
    assert time.monotonic() - began < 5


def test_it_is_asked_to_stop_and_waited_for(begin, tmp_path):
    trial = begin(1, "time.sleep(60)")
    results(trial, "score")
    trial.cleanup()
    assert trial.process.returncode == 1
    assert "checkpoint written" in (tmp_path / "run" / "train.log").read_text()


def test_two_trials_never_have_one_run(begin, monkeypatch):
    monkeypatch.setattr(module, "LOCK_S", 0.5)
    first = begin(0, "time.sleep(60)")  # whose actor may be dead: its process lives on
    with pytest.raises(IntentError, match="another process writes to"):
        begin(0)
    os.killpg(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert results(begin(0))[-1]["end"] == "ended"  # it was the process that held it


def test_a_run_that_cannot_be_written_fails_in_words(begin, tmp_path):
    (tmp_path / "file").write_text("")
    last = results(begin(run="file/run"))[-1]
    assert last["end"] == "failed" and "Not a directory" in last["why"]


def test_the_process_is_given_its_share_of_cores(begin, tmp_path):
    then = "import os; print(json.dumps(dict(os.environ)))"
    assert results(begin(0, then))[-1]["end"] == "ended"
    env = json.loads((tmp_path / "run" / "train.log").read_text())
    assert env["TF_NUM_INTRAOP_THREADS"] == env["OMP_NUM_THREADS"] == "1"
    assert env["INTENT_LAUNCHER_PID"] == str(os.getpid()) and sys.executable
