"""What on_device does with a second logical CPU in the place of an accelerator; JSON on stdout.

In a process of its own: devices can be set only before TensorFlow has looked at them.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import numpy as np
import tensorflow as tf

from intent.errors import IntentError
from intent.training.on_device import on_device
from intent.training.step import make_scoring_step
from tests.support import small_training as small

DEVICE = "/CPU:1"
STEPS = 7


def feed(log: list, fail_at: int | None = None):
    """Seven batches with windows of 6, 3, 6, 3 ... positions; `log` gets what happens to it."""
    whole = small.MemoryFeed(STEPS * 8, 8, small.Solo())
    try:
        for batch in whole.batches(0):
            if batch.step == fail_at:
                raise IntentError("shard 3 is gone; build the samples again")
            log.append(batch.step)
            tap = batch.inputs["tap"][:, : 3 if batch.step % 2 else 6]
            yield replace(batch, inputs=batch.inputs | {"tap": np.ascontiguousarray(tap)})
    finally:
        log.append("closed")


def take(batch):
    return batch.inputs, batch.labels, batch.weights


def all_there() -> dict:
    log, model = [], small.model(small.config())
    score = make_scoring_step(model, ["realtime", "longterm"])
    steps, devices, dtypes, equal, scores = [], set(), set(), True, 0.0
    for batch, placed in on_device(feed(log), take, DEVICE):
        steps.append(batch.step)
        for ours, theirs in zip(tf.nest.flatten(take(batch)), tf.nest.flatten(placed), strict=True):
            devices.add(theirs.device.rsplit("/", 1)[-1])
            dtypes.add(theirs.dtype.name)
            equal &= ours.dtype == theirs.dtype and np.array_equal(ours, theirs.numpy())
        gap = np.abs(score(placed[0]).numpy() - score(batch.inputs).numpy())
        scores = max(scores, float(gap.max()))
    return {
        "steps": steps,
        "devices": sorted(devices),
        "dtypes": sorted(dtypes),
        "equal": equal,
        "largest_score_gap": scores,
        "log": log,
    }


def ahead() -> dict:
    """What was made before it was asked for."""
    log: list = []
    batches = on_device(feed(log), take, DEVICE, ahead=2)
    next(batches)
    deadline = time.monotonic() + 10
    while _made(log) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    made = _made(log)
    batches.close()
    before = list(log)
    time.sleep(0.2)
    return {"made": made, "log": before, "grew": log != before}


def _made(log: list) -> int:
    """The newest batch; what else stands in the log may come between."""
    return max((entry for entry in log if isinstance(entry, int)), default=-1)


def failing(at: int) -> dict:
    log, seen = [], 0
    try:
        for _ in on_device(feed(log, fail_at=at), take, DEVICE):
            seen += 1
    except IntentError as error:
        return {"error": str(error), "type": type(error).__name__, "seen": seen, "log": log}
    return {}


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    parts = {"all": all_there(), "ahead": ahead(), "late": failing(3), "first": failing(0)}
    parts["empty"] = list(on_device((b for b in ()), take, DEVICE))
    parts["threads"] = [t.name for t in threading.enumerate() if t.name != "MainThread"]
    print(json.dumps(parts))


if __name__ == "__main__":
    main()
