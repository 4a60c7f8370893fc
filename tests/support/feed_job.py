"""One rank that reads the feed and writes down every batch.

`python -m tests.support.feed_job JSON`; the JSON has the fields of `Job`. The log gets a line a
step, {"epoch", "step", "groups": [[user, time], ...], "at"}, and every `every` steps a line
{"state": ...}, which is all that a resume is given.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples.feed import Batch
from intent.samples.reader import TrackFeed


@dataclass(frozen=True)
class Job:
    """What one rank does.

    Attributes:
        root: the samples.
        logs: the folder in which each rank writes rank-N.jsonl.
        batch, pool, seed, rank, world: see `TrackFeed`.
        epochs: it ends when it has read so many.
        state: of a resume; None begins.
        every: steps between two states.
        pause: seconds that a step takes.
    """

    root: str
    logs: str = ""
    batch: int = 48
    pool: int = 256
    seed: int = 7
    rank: int = 0
    world: int = 1
    epochs: int = 1
    state: dict | None = None
    every: int = 5
    pause: float = 0.0

    def feed(self) -> TrackFeed:
        """The feed of this rank."""
        manifest = manifests.load(self.root)
        return TrackFeed(
            self.root, manifest, manifest.schema, self.batch, seed=self.seed, pool=self.pool,
            rank=self.rank, world=self.world,
        )  # fmt: skip

    def log(self, rank: int) -> Path:
        """The log of a rank."""
        return Path(self.logs) / f"rank-{rank}.jsonl"

    def command(self) -> list[str]:
        """The command line of this rank."""
        return [sys.executable, "-m", "tests.support.feed_job", json.dumps(asdict(self))]


def line_of(batch: Batch) -> dict:
    """What is written down of a batch; rows that only fill it are left out."""
    real = np.flatnonzero(batch.weights > 0)
    groups = [[str(batch.users[i]), int(batch.times[i])] for i in real]
    return {"epoch": batch.epoch, "step": batch.step, "groups": groups, "at": time.time()}


def main(job: Job) -> None:
    """Read from the state to the end of the epochs."""
    feed = job.feed()
    epoch = step = 0
    if job.state is not None:
        epoch, step = feed.resume(job.state)
    with job.log(job.rank).open("w") as log:
        while not all(job.log(rank).exists() for rank in range(job.world)):
            time.sleep(0.005)  # ranks of a training begin together, too
        for now in range(epoch, job.epochs):
            for batch in feed.batches(now, step if now == epoch else 0):
                time.sleep(job.pause)
                print(json.dumps(line_of(batch)), file=log, flush=True)
                if (batch.step + 1) % job.every == 0:
                    state = feed.state(now, batch.step + 1)
                    print(json.dumps({"state": state}), file=log, flush=True)


if __name__ == "__main__":
    try:
        main(Job(**json.loads(sys.argv[1])))
    except IntentError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
