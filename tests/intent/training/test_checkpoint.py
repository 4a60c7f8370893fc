import json
import logging

import keras
import numpy as np
import pytest

from intent.errors import IntentError
from intent.training import checkpoint
from intent.training.checkpoint import Position
from intent.training.stopping import Choice


@pytest.fixture
def variables():
    return [keras.Variable(np.full((2, 3), 0.5, "float32"), name="w"), keras.Variable(7, name="n")]


def save(folder, variables, updates, epoch=0, choice=None):
    return checkpoint.save(
        folder,
        Position(epoch, updates, updates),
        variables,
        {"counts": np.arange(4)},
        manifest_hash="m",
        config_hash="c",
        seed=3,
        feed={"step": 7},
        choice=choice,
    )


def test_what_is_read_is_what_was_written(tmp_path, variables):
    path = save(tmp_path, variables, 12, epoch=1)
    assert path.name == "step-00000012"
    variables[0].assign(np.zeros((2, 3)))
    found = checkpoint.latest(tmp_path)
    checkpoint.restore(found, variables)
    assert found.position == Position(1, 12, 12)
    assert (found.manifest_hash, found.config_hash, found.seed) == ("m", "c", 3)
    assert found.feed == {"step": 7}
    assert np.array_equal(variables[0].numpy(), np.full((2, 3), 0.5, "float32"))
    assert np.array_equal(found.metrics["counts"], np.arange(4))


@pytest.mark.parametrize("break_it", ["flip", "truncate", "no facts", "half facts", "no arrays"])
def test_a_broken_newest_checkpoint_is_skipped_with_a_warning(
    tmp_path, variables, caplog, break_it
):
    save(tmp_path, variables, 1)
    newest = save(tmp_path, variables, 2)
    arrays, facts = newest / checkpoint.ARRAYS, newest / checkpoint.FACTS
    if break_it == "flip":
        data = bytearray(arrays.read_bytes())
        data[len(data) // 2] ^= 1
        arrays.write_bytes(data)
    elif break_it == "truncate":
        arrays.write_bytes(arrays.read_bytes()[:-100])
    elif break_it == "no facts":
        facts.unlink()
    elif break_it == "half facts":
        facts.write_text(facts.read_text()[:50])
    else:
        arrays.unlink()
    with caplog.at_level(logging.WARNING):
        assert checkpoint.latest(tmp_path).position.updates == 1
    assert "step-00000002" in caplog.text


def test_a_whole_newest_checkpoint_is_taken_without_a_warning(tmp_path, variables, caplog):
    save(tmp_path, variables, 1)
    save(tmp_path, variables, 2)
    assert checkpoint.latest(tmp_path).position.updates == 2
    assert not caplog.text


def test_none_at_all_is_a_start_but_all_broken_is_an_error(tmp_path, variables):
    assert checkpoint.latest(tmp_path) is None
    (save(tmp_path, variables, 1) / checkpoint.FACTS).unlink()
    with pytest.raises(IntentError, match="none of the 1 checkpoints"):
        checkpoint.latest(tmp_path)


def test_a_write_that_was_killed_leaves_no_checkpoint_and_is_cleared(tmp_path, variables):
    save(tmp_path, variables, 1)
    draft = tmp_path / ".draft-step-00000002"
    draft.mkdir()
    (draft / checkpoint.ARRAYS).write_bytes(b"half")
    assert checkpoint.latest(tmp_path).position.updates == 1
    save(tmp_path, variables, 3)
    assert not draft.exists()


def test_the_last_ones_and_the_best_are_kept(tmp_path, variables):
    paths = [save(tmp_path, variables, n) for n in range(1, 7)]
    checkpoint.write_best(tmp_path, Choice(best=0.7, updates=2))
    checkpoint.prune(tmp_path, 2, paths[-1])
    kept = sorted(p.name[-1] for p in tmp_path.glob("step-*"))
    assert kept == ["2", "5", "6"]
    assert checkpoint.best(tmp_path) == (paths[1], 0.7)


def test_best_is_what_the_checkpoint_gone_on_from_knows(tmp_path, variables):
    save(tmp_path, variables, 1)
    assert checkpoint.load_best(tmp_path) is None
    checkpoint.write_best(tmp_path, Choice(best=0.7, updates=1))
    assert checkpoint.load_best(tmp_path).position.updates == 1
    (tmp_path / "step-00000001/arrays.npz").write_bytes(b"torn")
    with pytest.raises(IntentError, match="best checkpoint is lost.*train.keep_best=false"):
        checkpoint.load_best(tmp_path)
    checkpoint.write_best(tmp_path, Choice())  # gone back to before the first validation
    assert checkpoint.best(tmp_path) is None


def test_the_choice_travels_in_the_checkpoint_and_older_ones_have_none(tmp_path, variables):
    choice = Choice(0.1 + 0.2, 7, 0.3, 2, 9)
    path = save(tmp_path, variables, 9, choice=choice.to_dict())
    assert Choice.from_dict(checkpoint.load(path).choice) == choice
    facts = json.loads((path / checkpoint.FACTS).read_text())
    del facts["choice"]
    (path / checkpoint.FACTS).write_text(json.dumps(facts))
    assert Choice.from_dict(checkpoint.load(path).choice) == Choice()


def test_a_checkpoint_just_written_is_never_pruned_in_favour_of_broken_newer_ones(
    tmp_path, variables
):
    save(tmp_path, variables, 1)
    broken = save(tmp_path, variables, 3)
    (broken / "arrays.npz").write_bytes(b"torn")
    assert checkpoint.latest(tmp_path).position.updates == 1
    written = save(tmp_path, variables, 2)
    checkpoint.prune(tmp_path, 1, written)
    assert [p.name for p in tmp_path.glob("step-*")] == [written.name]
    assert checkpoint.latest(tmp_path).position.updates == 2


def test_weights_that_are_not_finite_are_not_saved(tmp_path, variables):
    variables[0].assign(np.full((2, 3), np.nan))
    with pytest.raises(IntentError, match="no longer finite"):
        save(tmp_path, variables, 1)
    assert checkpoint.latest(tmp_path) is None


def test_another_model_is_refused(tmp_path, variables):
    save(tmp_path, variables, 1)
    found = checkpoint.latest(tmp_path)
    other = [keras.Variable(np.zeros((2, 4), "float32"), name="w"), variables[1]]
    with pytest.raises(IntentError, match="another model"):
        checkpoint.restore(found, other)
    assert json.loads((found.path / checkpoint.FACTS).read_text())["names"] == ["w", "n"]
