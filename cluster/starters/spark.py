"""Workers inside a Spark application: each in a task of one job, beside the Spark driver.

The job is an ordinary one, not in barrier mode: there all tasks start again when one is lost, and
here the others go on. A task that dies with its executor is done again elsewhere, by Spark, and so
gives a new slot. Each task runs `cluster.starters.agents.agent`, which holds a worker process; the
executors need what the worker needs, their Python TensorFlow and Horovod too. Our code gets there
as it does for the sample job (--py-files intent.zip).
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.starter import Relay
from cluster.starters.agents import AgentStarter, agent

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOM_S = 180.0  # for Spark to find room for all workers
END_S = 10.0  # for the tasks to end by themselves
AGAIN_S = 2.0  # before a job that failed is tried again


class SparkStarter(AgentStarter):
    """Starts workers in the tasks of a Spark job, which runs until `close`.

    Args:
        workers: how many there is to be room for.
        spark: the session; by default the running one, or a new one on this machine, which is
            stopped at the end.
        folder: to run workers in, where the hosts have it; else they run in Spark's own.
        relay: see AgentStarter.

    Raises IntentError where Spark has no room for so many within ROOM_S.
    """

    def __init__(
        self,
        workers: int,
        spark: SparkSession | None = None,
        folder: str = "",
        relay: Relay | None = None,
    ) -> None:
        from pyspark import SparkContext

        from cluster.spark import session

        self._own = spark is None and SparkContext._active_spark_context is None
        self._spark = spark or session("intent-workers", workers)
        context = self._spark.sparkContext
        super().__init__(context.getConf().get("spark.driver.host"), relay)
        self._group, self._failure = f"intent-workers-{self.call[1]}", ""
        self._job = threading.Thread(target=self._run, args=(workers, folder), daemon=True)
        self._job.start()
        try:
            self.await_agents(workers, ROOM_S, lambda: self._failure)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End what still runs, then the job."""
        super().close()
        self._job.join(END_S)
        if self._job.is_alive():
            self._spark.sparkContext.cancelJobGroup(self._group)
        if self._own:
            self._spark.stop()

    def _run(self, workers: int, folder: str) -> None:
        """The job; again when it fails although it once ran, which four losses of a task can do."""
        context = self._spark.sparkContext
        call = self.call
        while not self.closed:
            try:
                context.setJobGroup(self._group, "workers of a training", interruptOnCancel=True)
                places = context.parallelize(range(workers), workers)
                places.foreachPartition(lambda _: in_task(call, folder))
                return
            except Exception as error:  # of two languages; told by who waits for the agents
                lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                told = [line for line in lines if "Error: " in line or "Exception: " in line]
                self._failure = (
                    f"Spark: the workers' job failed: {(told or lines or [''])[-1][:300]}"
                )
            if not self.called or context._jsc is None:  # it never ran, or Spark has ended
                return
            time.sleep(AGAIN_S)


def in_task(call: tuple[str, int, str], folder: str) -> None:
    """What a task does."""
    from pyspark import TaskContext

    here = os.getcwd()
    path = [*_unpacked(Path(here)), *(os.path.abspath(place) for place in sys.path if place)]
    env = {"PYTHONPATH": os.pathsep.join(path)}
    if gpu := TaskContext.get().resources().get("gpu"):  # spark.task.resource.gpu.amount
        env["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.addresses)
    agent(call, socket.gethostname(), folder if os.path.isdir(folder) else here, env)


def _unpacked(folder: Path) -> list[str]:
    """Where our code is as files, if it came as a .zip: it has C sources to be compiled in it."""
    archive = next((p for p in Path(__file__).parents if p.suffix == ".zip"), None)
    if archive is None:
        return []
    target = folder / f"unpacked-{os.getpid()}"
    with zipfile.ZipFile(archive) as content:
        content.extractall(target)
    return [str(target)]
