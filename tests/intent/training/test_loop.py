"""The loop with one process. What several do is in tests/cluster/test_horovod.py."""

import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.errors import IntentError
from intent.metrics import roc_auc
from intent.training import checkpoint
from intent.training.comm import Solo
from intent.training.interrupt import Interrupted
from intent.training.logbook import read_metrics
from intent.training.loop import fit
from intent.training.run_dir import open_run
from tests.support import small_training as small


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def largest_gap(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of three epochs that was never interrupted: summary, weights, run."""
    return small.train(tmp_path_factory.mktemp("whole") / "run", epochs=3, checkpoint_every=4)


def stopping_feed(monkeypatch, updates, act):
    """Let `act` happen while the batch of update number `updates` (from 1) is read."""
    original, count = small.MemoryFeed.batches, [0]

    def batches(self, epoch, start=0):
        for batch in original(self, epoch, start):
            count[0] += self.groups == 90
            if count[0] == updates and self.groups == 90:
                act()
            yield batch

    monkeypatch.setattr(small.MemoryFeed, "batches", batches)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_stopped_by_a_signal_and_resumed_is_bit_equal_to_never_stopped(
    tmp_path, monkeypatch, whole, name
):
    with monkeypatch.context() as patch:
        stopping_feed(patch, 9, lambda: os.kill(os.getpid(), getattr(signal, name)))
        with pytest.raises(Interrupted, match=f"{name} after step 3 of epoch 1"):
            small.train(tmp_path / "run", epochs=3, checkpoint_every=4)
    assert checkpoint.latest(tmp_path / "run/checkpoints").position.updates == 9
    summary, weights, run = small.train(tmp_path / "run", epochs=3, checkpoint_every=4, seed=99)
    assert summary["steps"] == 9
    assert equal(weights, whole[1])
    assert curves(run) == curves(whole[2])


def curves(run):
    speed = {"groups_per_second", "wait_share", "compute_share", "reduce_share"}
    return [{k: v for k, v in r.items() if k not in speed} for r in read_metrics(run.metrics)]


def test_killed_outright_it_goes_back_to_the_last_checkpoint(tmp_path, monkeypatch, whole):
    class Killed(BaseException):
        pass

    def die():
        raise Killed

    with monkeypatch.context() as patch:
        stopping_feed(patch, 11, die)
        with pytest.raises(Killed):
            small.train(tmp_path / "run", epochs=3, checkpoint_every=4)
    assert checkpoint.latest(tmp_path / "run/checkpoints").position.updates == 8
    _, weights, run = small.train(tmp_path / "run", epochs=3, checkpoint_every=4)
    assert equal(weights, whole[1])
    assert curves(run) == curves(whole[2])


@pytest.mark.parametrize("forgotten", ["optimizer", "position"])
def test_control_a_resume_that_forgets_something_is_not_equal(
    tmp_path, monkeypatch, whole, forgotten
):
    """The tests above would see a lost optimizer state or a lost place in the plan."""
    shutil.copytree(whole[2].path, tmp_path / "run")
    folder = tmp_path / "run/checkpoints"
    for path in folder.glob("step-*"):
        if path.name > "step-00000012":
            shutil.rmtree(path)
    load = checkpoint.load

    def forgetful(path):
        found = load(path)
        if forgotten == "optimizer":
            for name, array in zip(found.names, found.variables, strict=True):
                if "momentum" in name or "velocity" in name:
                    array[...] = 0
        else:
            object.__setattr__(found, "position", checkpoint.Position(1, 5, 11))
        return found

    monkeypatch.setattr(checkpoint, "load", forgetful)
    _, weights, _ = small.train(tmp_path / "run", epochs=3, checkpoint_every=4)
    assert largest_gap(weights, whole[1]) > 1e-5


def test_what_a_run_leaves_behind(whole):
    summary, weights, run = whole
    assert (summary["steps"], summary["groups"], summary["ranks"]) == (18, 270, 1)
    records = list(read_metrics(run.metrics))
    assert [r["step"] for r in records if r["kind"] == "step"] == list(range(1, 19))
    assert [r["step"] for r in records if r["kind"] == "validation"] == [6, 12, 18]
    assert all(np.isfinite(r["loss"]) for r in records if r["kind"] == "step")
    assert equal(keras.models.load_model(run.model).get_weights(), weights)
    events = next(run.tensorboard.iterdir())
    written = tf.compat.v1.train.summary_iterator(str(events))
    tags = {value.tag for event in written for value in event.summary.value}
    assert {"step/loss", "step/auc_realtime", "validation/auc_longterm"} <= tags
    kept = sorted(p.name for p in run.checkpoints.glob("step-*"))
    assert kept[-3:] == ["step-00000012", "step-00000016", "step-00000018"]
    assert summary["best"]["checkpoint"].endswith(tuple(kept))


def test_validation_scores_each_real_group_once(whole):
    summary, _, run = whole
    held_out = small.MemoryFeed(50, 16, Solo(), seed=1)
    model = keras.models.load_model(run.model)
    logits = model(held_out.inputs)["longterm"].numpy()
    assert summary["validation"]["groups"] == 50
    exact = roc_auc(logits, held_out.labels[:, 1])
    assert summary["validation"]["auc_longterm"] == pytest.approx(exact, abs=1e-6)


def test_the_file_of_a_run_gives_bit_equal_scores(whole):
    """To those of the weights with which training ended."""
    _, weights, run = whole
    trained = small.model(run.config)
    trained.set_weights(weights)
    again, inputs = keras.models.load_model(run.model), small.MemoryFeed(50, 16, Solo()).inputs
    for task, expected in trained(inputs).items():
        np.testing.assert_array_equal(again(inputs)[task], expected)


def test_it_learns(tmp_path):
    summary, _, _ = small.train(tmp_path / "run", epochs=6, groups=600, learning_rate=0.03)
    assert summary["validation"]["auc_longterm"] > 0.65


def test_a_loss_that_is_not_finite_names_its_step(tmp_path):
    chosen = small.config(epochs=2)
    model = small.model(chosen)
    run = open_run(tmp_path / "run", chosen, small.manifest())
    feed = small.MemoryFeed(90, 16, Solo())
    original = feed.batches

    def batches(epoch, start=0):
        for batch in original(epoch, start):
            if batch.step == 3:
                model.trainable_weights[-1].assign([np.nan])
            yield batch

    feed.batches = batches
    with pytest.raises(IntentError, match="loss is nan at epoch 0 step 3"):
        fit(model, feed, None, chosen.train, Solo(), run)
    assert checkpoint.latest(run.checkpoints) is None
    assert not run.model.exists()


def test_other_data_than_the_checkpoints_is_an_error(tmp_path):
    _, _, run = small.train(tmp_path / "run", epochs=1)
    chosen = small.config(epochs=2)
    other = type(run)(run.path, chosen, small.manifest(content="0" * 31 + "5"))
    feed = small.MemoryFeed(90, 16, Solo())
    with pytest.raises(IntentError, match=r"is of other data \(manifest hash"):
        fit(small.model(chosen), feed, None, chosen.train, Solo(), other, begin=lambda: None)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda steps: steps[:-1], "ended after 5 of 6 steps"),
        (lambda steps: steps[:2] + steps[3:], "gave step 3 of epoch 0, expected step 2"),
        (lambda steps: steps[:2] + steps[1:], "gave step 1 of epoch 0, expected step 2"),
    ],
)
def test_a_feed_that_loses_or_repeats_steps_is_an_error(tmp_path, monkeypatch, broken, message):
    original = small.MemoryFeed.batches
    monkeypatch.setattr(
        small.MemoryFeed,
        "batches",
        lambda self, epoch, start=0: iter(broken(list(original(self, epoch, start)))),
    )
    with pytest.raises(IntentError, match=message):
        small.train(tmp_path / "run", epochs=1)


def test_metrics_torn_by_a_kill_are_read_up_to_there(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"kind": "step", "step": 1}) + '\n{"kind": "st')
    assert [r["step"] for r in read_metrics(path)] == [1]
