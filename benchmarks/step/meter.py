"""Time, CPU seconds and memory of training steps and of scoring, the same for every variant.

A variant is an object with `step(batch) -> loss` and `score(batch)`, both finished when they
return; see `ours.Ours`, `plain_keras.Plain` and `plain_torch.Torch`.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.step import batches as files

LEAST = 2  # runs of what is timed, however long one takes


class Variant:
    """What a child is asked for. Subclasses have `prepare`, `step` and `score`."""

    def __init__(self) -> None:
        self.loaded: dict[str, list] = {}

    def prepare(self, batch: files.Batch):
        """The batch as `step` and `score` take it; not timed."""
        return batch

    def batches(self, data: str) -> list:
        """The prepared batches of a file, read once."""
        if data not in self.loaded:
            self.loaded[data] = [
                (self.prepare(batch), files.size(batch)) for batch in files.load(data)
            ]
        return self.loaded[data]

    def losses(self, data: str, steps: int) -> list[float]:
        """The loss of each of `steps` training steps over the file's batches in turn."""
        found = self.batches(data)
        return [float(self.step(found[i % len(found)][0])) for i in range(steps)]

    def train(self, data: str, seconds: float = 0, steps: int = LEAST) -> dict:
        """Trains for at least `seconds` and `steps`; see `timed`."""
        return timed(self.step, self.batches(data), seconds, steps)

    def infer(self, data: str, seconds: float = 0, steps: int = LEAST) -> dict:
        """Scores for at least `seconds` and `steps`, after one batch that does not count."""
        self.score(self.batches(data)[0][0])
        return timed(self.score, self.batches(data), seconds, steps)

    def memory(self, data: str, steps: int) -> dict[str, float]:
        """MiB resident before the first of `steps` training steps, and the most during them."""
        found = self.batches(data)
        before = resident()["rss_mib"]
        for i in range(steps):
            self.step(found[i % len(found)][0])
        return {"before_mib": before, "peak_mib": resident()["peak_mib"], "groups": found[0][1]}


def timed(call, batches: list, seconds: float, steps: int) -> dict:
    """Calls with one batch after the other until `seconds` are over and `steps` were made.

    Returns groups, seconds, CPU seconds of all threads, and the seconds of each call.
    """
    took: list[float] = []
    groups, cpu, begun = 0, time.process_time(), time.perf_counter()
    while len(took) < steps or time.perf_counter() - begun < seconds:
        batch, rows = batches[len(took) % len(batches)]
        at = time.perf_counter()
        call(batch)
        took.append(time.perf_counter() - at)
        groups += rows
    return {
        "groups": groups, "seconds": sum(took), "cpu_s": time.process_time() - cpu, "each_s": took,
    }  # fmt: skip


def resident() -> dict[str, float]:
    """MiB resident now, and the most there ever were."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    kib = {name: int(found[name].split()[0]) for name in ("VmRSS", "VmHWM")}
    return {"rss_mib": kib["VmRSS"] / 1024, "peak_mib": kib["VmHWM"] / 1024}
