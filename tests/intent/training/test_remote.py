"""Run folders on an object store. The server is in tests/support/s3.py; where hundreds of small
objects come and go, fsspec's store in memory stands for it."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import keras
import numpy as np
import pytest

from intent import storage
from intent.errors import IntentError
from intent.training import checkpoint, remote
from intent.training.checkpoint import Position
from intent.training.run_dir import open_run, read_run, run_at
from intent.training.stopping import Choice
from tests.support.s3 import s3, s3_server  # noqa: F401  fixtures
from tests.support.small_training import config, manifest

SCORES = {2: 0.6, 4: 0.8, 6: 0.7}  # of the validations, by updates


class Killed(BaseException):
    """As SIGKILL: nothing of the program runs after it."""


@pytest.fixture
def memory():
    """The URL of an empty place in memory."""
    fsspec.filesystem("memory").store.clear()
    yield "memory://shop/run"
    fsspec.filesystem("memory").store.clear()


def settings(**train):
    return config(epochs=3, keep_checkpoints=2, validation_days=1, **train)


def train(url, to=6):
    """What the loop does with the run folder, with weights that are a function of the step."""
    run = open_run(url, settings(), manifest())
    found = checkpoint.latest(run.checkpoints)
    position = found.position if found else Position()
    choice = Choice.from_dict(found.choice if found else {})
    checkpoint.write_best(run.checkpoints, choice)
    known = [json.loads(line) for line in open_metrics(run) if line]
    lines = [r for r in known if r["step"] <= position.updates]
    assert [r["step"] for r in lines] == list(range(1, position.updates + 1)), "a record is missing"
    if found:
        assert found.variables[0][0] == position.updates
    choice = validate(run, position.updates, choice)
    run.metrics.write_text("".join(json.dumps(r) + "\n" for r in lines))
    for updates in range(position.updates + 1, to + 1):
        save(run, updates, choice)
        choice = validate(run, updates, choice)
    return run


def open_metrics(run):
    return run.metrics.read_text().splitlines() if run.metrics.exists() else []


def save(run, updates, choice):
    with run.metrics.open("a") as file:
        file.write(json.dumps({"kind": "step", "step": updates}) + "\n")
    path = checkpoint.save(
        run.checkpoints,
        Position(0, updates, updates),
        [keras.Variable(np.full(5, updates, "float32"), name="w")],
        {},
        manifest_hash="m",
        config_hash="c",
        seed=3,
        feed={},
        choice=choice.to_dict(),
    )
    checkpoint.prune(run.checkpoints, 2, path)
    run.sync()


def validate(run, updates, choice):
    if updates not in SCORES:
        return choice
    choice = choice.seen(SCORES[updates], updates, run.config.train)
    checkpoint.write_best(run.checkpoints, choice)
    path = checkpoint.path_of(run.checkpoints, Position(updates=updates))
    checkpoint.prune(run.checkpoints, 2, path)
    run.sync()
    return choice


def killed_at(patch, number):
    """Let the process die at the change of the store with this number, from 0; counts them."""
    count = [0]

    def dying(original):
        def change(*arguments):
            if count[0] == number:
                raise Killed
            count[0] += 1
            return original(*arguments)

        return change

    patch.setattr(remote, "_upload", dying(remote._upload))
    patch.setattr(storage, "remove", dying(storage.remove))
    return count


KEPT = {"step-00000004", "step-00000005", "step-00000006"}  # the best and the last two


def steps_at(url):
    names = {n for n in storage.files(url) if n.startswith("checkpoints/step-")}
    return {n.split("/")[1] for n in names}, names


def test_the_last_ones_and_the_best_are_there(memory):
    train(memory)
    steps, names = steps_at(memory)
    assert steps == KEPT and len(names) == 6
    assert json.loads(storage.read_text(f"{memory}/checkpoints/best.json"))["score"] == 0.8


def test_killed_between_any_two_objects_the_run_goes_on(memory, monkeypatch):
    with monkeypatch.context() as patch:
        count = killed_at(patch, None)
        train(memory)
        total, expected = count[0], storage.files(memory)
    assert total > 25
    for number in range(total):
        fsspec.filesystem("memory").store.clear()
        with monkeypatch.context() as patch:
            killed_at(patch, number)
            with pytest.raises(Killed):
                train(memory)
        run = train(memory)  # asserts that weights and records are of the position
        assert storage.files(memory) == expected, f"killed before change {number}"
        assert checkpoint.best(run.checkpoints)[1] == 0.8


def test_control_facts_that_come_before_the_arrays_make_a_torn_checkpoint(memory, monkeypatch):
    """The test above would see it."""
    original = remote.Mirror._put

    def facts_first(self, names, *tries):
        facts = [n.replace("arrays.npz", "checkpoint.json") for n in names if "arrays" in n]
        original(self, [*facts, *names], *tries)

    torn = 0
    for number in range(12):
        fsspec.filesystem("memory").store.clear()
        with monkeypatch.context() as patch:
            patch.setattr(remote.Mirror, "_put", facts_first)
            killed_at(patch, number)
            with pytest.raises(Killed):
                train(memory)
        try:
            train(memory)
        except (IntentError, AssertionError):
            torn += 1
    assert torn


@pytest.fixture
def place(s3):  # noqa: F811
    return f"{s3}/runs/first"


def test_on_an_s3_server_another_process_goes_on_and_a_reader_reads(place):
    run = train(place, to=3)
    assert run.place == place and run.shown(run.model) == f"{place}/model.keras"
    train(place)
    assert steps_at(place)[0] == KEPT
    run.model.write_bytes(b"model")
    run.sync()
    found = read_run(place)
    assert found.model.read_bytes() == b"model" and found.config == run.config
    assert not found.checkpoints.exists()  # a reader has no use for them
    (found.path / "report.html").write_text("good")
    (found.path / "device").mkdir()
    (found.path / "device/bundle.json").write_text("{}")
    found.push("report.html", "device")
    assert {"report.html", "device/bundle.json"} <= set(storage.files(place))


@pytest.mark.parametrize("torn", ["arrays", "facts"])
def test_a_torn_upload_is_passed_over_with_a_warning(place, caplog, torn):
    train(place)
    name = {"arrays": "arrays.npz", "facts": "checkpoint.json"}[torn]
    newest = f"{place}/checkpoints/step-00000006/{name}"
    storage.write_atomically(newest, storage.read_bytes(newest)[:-40])
    with caplog.at_level(logging.WARNING):
        run = open_run(place, settings(), manifest())
    assert checkpoint.latest(run.checkpoints).position.updates == 5
    assert "step-00000006" in caplog.text and place in caplog.text
    assert len(steps_at(place)[0]) == 3  # nothing is deleted before something better is there
    train(place)
    assert checkpoint.latest(open_run(place, settings(), manifest()).checkpoints).position == (
        Position(0, 6, 6)
    )


def test_all_of_them_broken_is_an_error_and_deletes_nothing(memory):
    train(memory)
    for step in KEPT:
        storage.write_atomically(f"{memory}/checkpoints/{step}/arrays.npz", b"torn")
    before = storage.files(memory)
    with pytest.raises(IntentError, match="none of the 3 checkpoints in memory://shop/run/ch"):
        open_run(memory, settings(), manifest())
    assert storage.files(memory) == before


def test_another_run_or_other_files_are_refused_and_nothing_changes(memory):
    train(memory, to=2)
    before = storage.files(memory)
    with pytest.raises(IntentError, match=f"{memory} was made with train.seed=0, now it is 5"):
        open_run(memory, settings(seed=5), manifest())
    assert storage.files(memory) == before
    storage.write_atomically("memory://shop/holiday/photo.jpg", b"sun")
    with pytest.raises(IntentError, match="memory://shop/holiday holds files but no run"):
        open_run("memory://shop/holiday", settings(), manifest())
    with pytest.raises(IntentError, match="memory://shop/none is no run folder"):
        read_run("memory://shop/none")


def test_who_stays_rank_0_keeps_what_is_not_uploaded_yet(memory):
    """Rank 0 opens the run again whenever ranks meet again."""
    run = train(memory, to=3)
    with run.metrics.open("a") as file:
        file.write('{"kind": "step", "step": 4}\n')
    run.open()
    assert '"step": 4}' in run.metrics.read_text()
    resumed = open_run(memory, settings(), manifest())  # as another process; it wrote nothing
    resumed.metrics.write_text("more\n")
    resumed.open()
    assert resumed.metrics.read_text() == "more\n"


def test_who_becomes_rank_0_again_takes_what_another_wrote(memory):
    run = train(memory, to=3)
    train(memory, to=5)  # another process was rank 0 meanwhile
    run.metrics.write_text("old\n")
    run.open()
    assert checkpoint.latest(run.checkpoints).position.updates == 5
    assert "old" not in run.metrics.read_text()


def failing(patch, times):
    """The store refuses so many uploads, then works."""
    original, left = remote._upload, [times]

    def upload(source, url):
        if left[0] > 0:
            left[0] -= 1
            raise IntentError(f"{url}: 503 slow down")
        original(source, url)

    patch.setattr(remote, "_upload", upload)
    patch.setattr(remote, "WAITS", (0.01, 0.01))


def test_a_store_that_fails_now_and_then_is_asked_again(memory, monkeypatch, caplog):
    run = train(memory, to=3)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        failing(patch, times=2)
        save(run, 4, Choice())
    assert caplog.text.count("503 slow down; trying again") == 2
    assert "step-00000004" in steps_at(memory)[0]


def test_a_store_that_stays_away_is_an_error_that_says_what_is_where(memory, monkeypatch):
    run = train(memory, to=3)
    with monkeypatch.context() as patch:
        failing(patch, times=99)
        with pytest.raises(IntentError) as caught:
            save(run, 4, Choice())
    assert run.path not in remote._to_remove  # it stays, and the others go
    assert run_at(memory, settings(), manifest()).path in remote._to_remove
    told = str(caught.value)
    assert f"cannot write checkpoints/step-00000004/arrays.npz in the run folder {memory}" in told
    assert "the newest whole checkpoint there is step-00000003" in told
    assert f"what is newer lies in {run.path} until the next start" in told
    run.sync()  # it is back
    assert checkpoint.latest(train(memory).checkpoints).position.updates == 6


def test_who_may_not_write_is_told_at_once(s3, monkeypatch):  # noqa: F811
    monkeypatch.setattr(remote, "WAITS", (99.0, 99.0))
    with pytest.raises(IntentError, match="no such bucket"):
        open_run("s3://nobody-has-this/run", settings(), manifest())


def test_metrics_go_up_now_and_then_and_their_failure_stops_nothing(memory, monkeypatch, caplog):
    run = train(memory, to=2)
    monkeypatch.setattr(remote, "SOON", 0.0)
    run.metrics.write_text("more\n")
    with monkeypatch.context() as patch:
        failing(patch, times=1)
        run.sync_soon()
    assert "tried again with the next checkpoint" in caplog.text
    run.sync_soon()
    assert storage.read_text(f"{memory}/metrics.jsonl") == "more\n"


def test_folders_of_processes_that_are_gone_are_removed_and_no_others(memory):
    program = "from intent.training.remote import Mirror as M; import os; print(M('memory://shop/run').folder, flush=True); os._exit(9)"  # noqa: E501  # fmt: skip
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    left = Path(told.stdout.strip())
    assert left.is_dir()
    first = run_at(memory, settings(), manifest())
    second = run_at(memory + "/", settings(), manifest())
    assert not left.exists()
    assert first.path != second.path and first.path.is_dir() and str(os.getpid()) in first.path.name
