"""Everything that decides how training goes on is in a checkpoint: a run that was stopped in the
middle of an epoch ends bit-equal to one that never was. Each part is also forgotten on purpose."""

import os
import shutil
import signal

import fsspec
import keras
import numpy as np
import pytest

from intent import storage
from intent.training import checkpoint, loop, schedule
from intent.training.interrupt import Interrupted
from intent.training.logbook import read_metrics
from tests.support import small_training as small

# No validation improves by half, so training stops after the third of five epochs
SETTINGS = {
    "epochs": 5,
    "checkpoint_every": 4,
    "keep_checkpoints": 9,
    "validation_days": 1,
    "patience": 2,
    "min_improvement": 0.5,
    "scale_learning_rate": "sqrt",
    "reference_batch": 4,
    "warmup_steps": 11,
    "decay": "cosine",
    "learning_rate": 0.03,
}
STEPS = 6  # an epoch


@pytest.fixture(autouse=True, scope="module")
def with_dropout():
    """The model draws random numbers in each step, from a generator that is part of its state."""
    plain = small.model

    def model(settings, seed=1):
        built = plain(settings, seed)
        drop = keras.layers.Dropout(0.3, seed=5)
        outputs = {task: drop(logit) for task, logit in built.output.items()}
        return keras.Model(built.input, outputs)

    small.model = model
    yield
    small.model = plain


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return small.train(tmp_path_factory.mktemp("whole") / "run", **SETTINGS)


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def curves(run):
    measured = {"groups_per_second", "wait_share", "reduce_share", "compute_share"}
    return [{k: v for k, v in r.items() if k not in measured} for r in read_metrics(run.metrics)]


def state(run):
    """The newest checkpoint's variables, optimizer and random state among them."""
    found = checkpoint.latest(run.checkpoints)
    assert any("velocity" in name for name in found.names)
    assert any("seed_generator" in name for name in found.names)
    return found


def test_it_stops_early_and_the_file_has_the_best_weights(whole):
    summary, weights, run = whole
    assert summary["stopped_early"] and summary["updates"] == 3 * STEPS
    scores = {
        r["step"]: (r["auc_realtime"] + r["auc_longterm"]) / 2
        for r in read_metrics(run.metrics)
        if r["kind"] == "validation"
    }
    assert list(scores) == [6, 12, 18]
    best = max(scores, key=scores.get)
    assert (summary["weights"], summary["weights_updates"]) == ("best", best)
    assert summary["best"]["auc"] == pytest.approx(scores[best])
    found = checkpoint.load(run.checkpoints / f"step-{best:08d}")
    kept = keras.models.load_model(run.model)
    stored = dict(zip(found.names, found.variables, strict=True))
    for variable in kept.trainable_variables:
        assert np.array_equal(variable.numpy(), stored[variable.path])
    # Control: a run that keeps the last weights has others in its file, unless the last are best
    if best != 18:
        assert not equal(kept.get_weights(), weights)


def test_the_rate_of_each_update_is_the_schedules(whole):
    _, _, run = whole
    config = run.config.train
    told = [r["learning_rate"] for r in read_metrics(run.metrics) if r["kind"] == "step"]
    assert told == [schedule.learning_rate(config, n, 5 * STEPS) for n in range(3 * STEPS)]
    assert max(told) == pytest.approx(0.06) and told[0] < 0.04 and told[-1] < told[12]


@pytest.mark.parametrize("where", ["folder", "url"])
def test_stopped_in_the_middle_of_an_epoch_and_resumed_is_bit_equal(
    tmp_path, monkeypatch, whole, where
):
    fsspec.filesystem("memory").store.clear()
    place = tmp_path / "run" if where == "folder" else "memory://shop/run"
    with monkeypatch.context() as patch:
        original, seen = small.MemoryFeed.batches, [0]

        def batches(self, epoch, start=0):
            for batch in original(self, epoch, start):
                seen[0] += self.groups == 90
                if seen[0] == 9 and self.groups == 90:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

        patch.setattr(small.MemoryFeed, "batches", batches)
        with pytest.raises(Interrupted, match="after step 3 of epoch 1") as stopped:
            small.train(place, **SETTINGS)
    assert f"{place}/checkpoints/step-00000009 is written" in str(stopped.value)
    summary, weights, run = small.train(place, seed=99, **SETTINGS)
    assert equal(weights, whole[1])
    assert curves(run) == curves(whole[2])
    ours, theirs = state(run), state(whole[2])
    assert equal(ours.variables, theirs.variables)
    assert (ours.position, ours.choice, ours.feed) == (theirs.position, theirs.choice, theirs.feed)
    assert equal(ours.metrics.values(), theirs.metrics.values())
    for name in ("stopped_early", "updates", "weights", "weights_updates", "validation", "loss"):
        assert summary[name] == whole[0][name]
    if where == "url":
        assert storage.read_bytes(f"{place}/metrics.jsonl") == run.metrics.read_bytes()
        assert storage.read_bytes(f"{place}/model.keras") == run.model.read_bytes()


@pytest.mark.parametrize("forgotten", ["random state", "metrics", "choice", "schedule"])
def test_control_what_is_forgotten_shows(tmp_path, monkeypatch, whole, forgotten):
    """Beside the optimizer and the position, which tests/intent/training/test_loop.py forgets."""
    shutil.copytree(whole[2].path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/step-00000018")  # the newest is in mid-epoch now
    load, rate = checkpoint.load, schedule.learning_rate

    def forgetful(path):
        found = load(path)
        if found.position.step == STEPS:  # the best one, at the end
            return found
        if forgotten == "random state":
            for name, array in zip(found.names, found.variables, strict=True):
                if "seed_generator" in name:
                    array[...] = (0, 5)
        elif forgotten == "metrics":
            for array in found.metrics.values():
                array[...] = 0
        elif forgotten == "choice":
            found.choice.clear()
        return found

    monkeypatch.setattr(checkpoint, "load", forgetful)
    if forgotten == "schedule":
        monkeypatch.setattr(loop, "learning_rate", lambda c, n, total: rate(c, n - 16, total))
    summary, weights, run = small.train(tmp_path / "run", **SETTINGS)
    if forgotten == "choice":
        assert summary["updates"] == 5 * STEPS  # it goes on as if it had just begun to wait
    elif forgotten == "metrics":
        assert equal(weights, whole[1]) and curves(run) != curves(whole[2])
    else:
        assert not equal(weights, whole[1])
