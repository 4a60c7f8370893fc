"""`intent train`, slowed down, that writes down what is trained on and how each rank ends.

`python -m tests.support.feed_training` takes the arguments of `intent train`. LOG names a folder in
which every rank writes rank-N.jsonl: its process id, a line a step, and the error that ended it.
PAUSE is the seconds that a step takes longer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cluster.horovod
import jobs.train
from intent.cli import run_command
from intent.samples.feed import Batch, Feed
from tests.support.feed_job import line_of

MODULE = "tests.support.feed_training"
LOG, PAUSE = "INTENT_TEST_LOG", "INTENT_TEST_PAUSE"


class Log:
    """Lines of JSON of one rank, each written at once."""

    def __init__(self) -> None:
        rank = os.environ.get("HOROVOD_RANK", "0")
        self.file = (Path(os.environ[LOG]) / f"rank-{rank}.jsonl").open("w")
        self.write({"pid": os.getpid()})

    def write(self, line: dict) -> None:
        """Append a line."""
        print(json.dumps(line), file=self.file, flush=True)


class Written:
    """A feed that writes down each batch before it is trained on."""

    def __init__(self, feed: Feed, log: Log) -> None:
        self.feed, self.log, self.schema = feed, log, feed.schema

    def steps(self, epoch: int) -> int:
        """As the feed's."""
        return self.feed.steps(epoch)

    def state(self, epoch: int, step: int) -> dict:
        """As the feed's."""
        return self.feed.state(epoch, step)

    def resume(self, state: dict) -> tuple[int, int]:
        """As the feed's."""
        return self.feed.resume(state)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """As the feed's."""
        for batch in self.feed.batches(epoch, start):
            time.sleep(float(os.environ.get(PAUSE, "0")))
            self.log.write(line_of(batch))
            yield batch


def main() -> int:
    """Run `intent train` with the feed wrapped, in the launcher and in every rank."""
    launch, train, feeds = cluster.horovod.launch, jobs.train.train, jobs.train.feeds

    def launched(np, argv, *more):
        return launch(np, [argv[0], "-m", MODULE, *argv[3:]], *more)

    def trained(*arguments):
        log = Log()

        def written(*of):
            training, held_out = feeds(*of)
            return Written(training, log), held_out

        jobs.train.feeds = written
        try:
            return train(*arguments)
        except BaseException as error:
            told = str(error)
            log.write({"error": told, "kind": type(error).__name__, "ended": time.time()})
            raise

    cluster.horovod.launch, jobs.train.train = launched, trained
    return run_command(jobs.train.command)


if __name__ == "__main__":
    sys.exit(main())
