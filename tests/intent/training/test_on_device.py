"""No accelerator here: a second logical CPU stands in for one (tests/support/two_devices.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from intent.errors import IntentError
from intent.training.on_device import on_device
from tests.support import small_training as small

ROOT = Path(__file__).parents[3]
STEPS = list(range(7))


@pytest.fixture(scope="module")
def there() -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.two_devices"],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_batch_is_on_the_device_with_its_narrow_types(there):
    found = there["all"]
    assert found["steps"] == STEPS and found["log"] == [*STEPS, "closed"]
    assert found["devices"] == ["device:CPU:1"]
    assert found["dtypes"] == ["float32", "uint8"]
    assert found["equal"]
    assert found["largest_score_gap"] < 1e-6


def test_batches_are_made_before_they_are_asked_for_and_no_more_after_the_end(there):
    assert there["ahead"]["made"] >= 2
    assert there["ahead"]["log"][-1] == "closed" and not there["ahead"]["grew"]


@pytest.mark.parametrize(("which", "seen"), [("late", 3), ("first", 0)])
def test_an_error_of_the_feed_comes_out_as_it_is(there, which, seen):
    found = there[which]
    assert (found["type"], found["seen"]) == ("IntentError", seen)
    assert found["error"] == "shard 3 is gone; build the samples again"
    assert found["log"][-1] == "closed"


def test_a_feed_without_batches_ends_and_no_thread_is_left(there):
    assert there["empty"] == []
    assert not [name for name in there["threads"] if not name.startswith("Dummy")]


def closing_feed(log: list, fail: bool = False):
    try:
        yield from small.MemoryFeed(24, 8, small.Solo()).batches(0)
        if fail:
            raise IntentError("lost")
    finally:
        log.append("closed")


def test_without_an_accelerator_the_arrays_are_the_feed_s_own():
    log: list = []
    for batch, (inputs, labels) in on_device(closing_feed(log), lambda b: (b.inputs, b.labels)):
        assert inputs is batch.inputs and labels is batch.labels
        assert isinstance(inputs["tap"], np.ndarray)
    assert log == ["closed"]


def test_without_an_accelerator_too_leaving_early_closes_the_feed_and_errors_are_its_own():
    log: list = []
    batches = on_device(closing_feed(log), lambda b: (b.inputs,))
    next(batches)
    assert not log
    batches.close()
    assert log == ["closed"]
    with pytest.raises(IntentError, match="^lost$"):
        list(on_device(closing_feed(log, fail=True), lambda b: (b.inputs,)))
