"""A child keeps what it made, answers in order, and says why it ended."""

import pytest

from benchmarks.step import batches as files
from benchmarks.step.child import Child
from benchmarks.step.meter import timed
from tests.intent.groups import small_schema


def test_what_fails_says_why():
    with (
        Child("batches.no_such_thing") as child,
        pytest.raises(RuntimeError, match="no_such_thing"),
    ):
        child.ask("anything")


def test_a_child_that_is_asked_wrongly_ends(tmp_path):
    with Child("meter.Variant", cores=1) as child, pytest.raises(RuntimeError, match="cores"):
        child.ask("train")  # the plain base class takes no options


def test_ours_is_asked_in_turns(tmp_path):
    from intent.config import ModelConfig, TrainConfig

    schema = small_schema(length=6)
    data = files.save(tmp_path / "b.npz", list(files.random_batches(schema, 2, 5, typical=3)))
    model = ModelConfig(hidden=4, action_width=4, branch_units=[3], sources=["tap"])
    options = {
        "schema": schema.to_dict(),
        "model": model.model_dump(),
        "train": TrainConfig().model_dump(),
    }
    with Child("ours.Ours", **options) as child:
        losses = child.ask("losses", data=data, steps=3)
        run = child.ask("train", data=data, steps=3)
        parts = child.ask("parts", data=data, seconds=0)
        memory = child.ask("memory", data=data, steps=1)
        curve = child.ask("curve", data=data, held_out=data, steps=4, every=2, order=1)
    assert len(losses) == 3 and all(0 < loss < 5 for loss in losses)
    assert run["groups"] == 15 and len(run["each_s"]) == 3 and run["cpu_s"] > 0
    kinds = {row["part"] for row in parts}
    assert {"BiGRU", "IntraViewAttention", "ActionEmbedding", "TaskBranch", "adam"} <= kinds
    assert 0 < memory["before_mib"] <= memory["peak_mib"]
    assert len(curve["losses"]) == 4 and len(curve["held_out"]) == 3


def test_a_run_lasts_as_long_as_asked():
    seen = []
    run = timed(seen.append, [("a", 3), ("b", 4)], seconds=0, steps=5)
    assert seen == ["a", "b", "a", "b", "a"]
    assert run["groups"] == 17 and run["seconds"] == sum(run["each_s"])
    import time

    run = timed(lambda _: time.sleep(0.01), [(None, 1)], seconds=0.05, steps=1)
    assert 2 <= run["groups"] <= 5
