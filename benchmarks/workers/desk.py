"""A rank's side of the benchmark: it trains when it is told to, and says how long that took.

The rank runs the real training loop; its feed asks here before every step. So whatever the loop
does between the first and the last of some steps is part of their time: records, checkpoints,
comparing weights over ranks.

Commands, each a dict that every rank of a job gets:
    {"do": "steps", "rows", "count", "every"}  so many steps of `rows` groups on this rank, with a
                                               checkpoint after every so many updates (0: none)
    {"do": "reduce", "bytes", "count"}         so many sums over ranks, without a model
    {"do": "idle", "seconds"}                  nothing, but for what runs beside training
    {"do": "run", "rows"}                      train on and on; each step is told as it ends
    {"do": "end"}
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.workers.data import Groups, pick
from intent.config import TrainConfig
from intent.samples.feed import Batch
from intent.schema import Schema
from intent.training.comm import Communicator

NEVER = 10**9


class Desk:
    """Takes commands, and answers them.

    Attributes:
        rows: of this rank in the next step, when there are as many ranks as at the start.
        free: steps go on without a command, and each is told.
    """

    def __init__(self, home: Connection, config: TrainConfig, comm: Communicator) -> None:
        self.home, self.config, self.comm = home, config, comm
        self.rows, self.free, self._left = 0, False, 0
        self._began = self._cpu = self._beat = 0.0
        self._busy = False

    def wait(self) -> None:
        """Until a step is due; answers what was before it."""
        while not self.free and self._left == 0:
            if self._busy:
                self._answer()
            command = self.home.recv()
            if command["do"] == "end":
                os._exit(0)  # there is nothing to keep, and the others end as well
            elif command["do"] == "reduce":
                self.home.send(self._reduce(command["bytes"], command["count"]))
            elif command["do"] == "idle":
                began = time.process_time()
                time.sleep(command["seconds"])
                self.home.send({"cores": (time.process_time() - began) / command["seconds"]})
            else:
                self.free = command["do"] == "run"
                self.rows, self._left = command["rows"], command.get("count", 0)
                self.config.checkpoint_every = command.get("every") or NEVER
                self._begin()
        if not self.free:
            self._left -= 1

    def tell(self, what: str, step: int, world: int) -> None:
        """An event of a job that runs freely."""
        if self.free:
            self.home.send({"what": what, "at": time.monotonic(), "step": step, "world": world})

    def _begin(self) -> None:
        self._busy = True
        self._began, self._cpu, self._beat = time.monotonic(), time.process_time(), _heartbeat_s()

    def _answer(self) -> None:
        self._busy = False
        self.home.send({
            "began": self._began,
            "ended": time.monotonic(),
            "cpu_s": time.process_time() - self._cpu,
            "heartbeat_s": _heartbeat_s() - self._beat,
        })  # fmt: skip

    def _reduce(self, length: int, count: int) -> dict:
        """Seconds of a sum of `length` bytes over ranks, median of `count`."""
        import tensorflow as tf

        @tf.function
        def add_up(tensor):
            return self.comm.allreduce([tensor], f"bench.{length}")[0]

        tensor, took = tf.zeros([length // 4]), []
        for _ in range(count + 3):
            with self.comm.guard():
                began = time.perf_counter()
                add_up(tensor).numpy()
                took.append(time.perf_counter() - began)
        return {"seconds": median(took[3:])}


class DeskFeed:
    """Groups in memory as the loop reads them, when the desk lets it.

    Args:
        groups: of all ranks, the same on each.
        ranks: of the job at its start; `desk.rows` are each one's then.
    """

    def __init__(
        self, schema: Schema, groups: Groups, desk: Desk, ranks: int, rank: int = 0, world: int = 1
    ) -> None:
        self.schema, self.groups, self.desk = schema, groups, desk
        self.ranks, self.rank, self.world = ranks, rank, world

    def of_rank(self, rank: int, world: int) -> DeskFeed:
        """The same groups, another part of them."""
        return DeskFeed(self.schema, self.groups, self.desk, self.ranks, rank, world)

    def steps(self, epoch: int) -> int:
        """As good as without end."""
        return NEVER

    def state(self, epoch: int, step: int) -> dict:
        """For checkpoints, which nobody reads."""
        return {"epoch": epoch, "step": step}

    def resume(self, state: dict) -> tuple[int, int]:
        """Where a checkpoint was made."""
        return state["epoch"], state["step"]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This rank's part of each step."""
        step = start
        self.desk.tell("met", step, self.world)
        while True:
            self.desk.wait()
            total = self.desk.rows * self.ranks
            rows = -(-total // self.world)
            numbers = step * total + self.rank * rows + np.arange(rows)
            inputs, labels = pick(self.groups, numbers)
            yield Batch(
                epoch, step, inputs, labels, np.ones(rows, np.float32), total,
                np.full(rows, "", object), np.zeros(rows, np.int64),
            )  # fmt: skip
            self.desk.tell("step", step, self.world)
            step += 1


def _heartbeat_s() -> float:
    """CPU seconds so far of the thread that calls the supervisor; 0 where there is none."""
    for thread in threading.enumerate():
        if thread.name == "heartbeat":
            text = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
            return int(text.split()[0]) / 1e9
    return 0.0
