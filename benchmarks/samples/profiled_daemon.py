"""PySpark's worker daemon, with a profile of every task written to the folder $WORKER_PROFILES.

For `spark.python.daemon.module`: Spark's own profiler leaves out mapInArrow.
"""

from __future__ import annotations

import cProfile
import os
import time
from pathlib import Path

# ruff: noqa: I001  in this order, since the first takes archives off the path
import cluster.spark_daemon  # noqa: F401  what the job's workers are forked from
from pyspark import daemon

_main = daemon.worker_main


def profiled(infile, outfile) -> None:
    """A worker's task, in CPU time: waiting for the JVM counts for nothing."""
    profile = cProfile.Profile(time.process_time)
    try:
        profile.runcall(_main, infile, outfile)
    finally:
        folder = Path(os.environ["WORKER_PROFILES"])
        profile.dump_stats(folder / f"{os.getpid()}-{time.monotonic_ns()}.prof")


if __name__ == "__main__":
    daemon.worker_main = profiled
    daemon.manager()
