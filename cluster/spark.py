"""Spark sessions: one on this machine, or the one that spark-submit started."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cluster.java import java_home
from intent.errors import IntentError
from intent.progress import Bar

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
LOCAL_MEMORY = "3g"  # of the JVM, where driver and executors are one
ARROW_ROWS = 50_000  # rows of an Arrow batch: some MB of events, so that NumPy's overhead is small


def session(name: str, cores: int | None = None) -> SparkSession:
    """The running Spark session, or a new one on this machine.

    Under spark-submit the master and the resources are spark-submit's; else Spark runs inside this
    process tree with `cores` (default all).
    """
    # Spark's workers must be this very interpreter: any other lacks our packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    os.environ["JAVA_HOME"] = str(java_home())
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    submitted = SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ
    if not submitted:
        quiet = f"-Dlog4j2.configurationFile=file:{Path(__file__).with_name('log4j2.properties')}"
        builder = (
            builder.master(f"local[{cores or '*'}]")
            .config("spark.driver.memory", LOCAL_MEMORY)
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.extraJavaOptions", quiet)
            .config("spark.ui.enabled", "false")
        )
    spark = (
        builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", ARROW_ROWS)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def with_progress(spark: SparkSession, bar: Bar, action: Callable[[], T]) -> T:
    """Run a Spark action and move `bar` with its tasks."""
    outcome: dict = {}

    def run() -> None:
        try:
            outcome["value"] = action()
        except BaseException as error:
            outcome["error"] = error

    from pyspark import InheritableThread

    thread = InheritableThread(target=run, daemon=True)
    thread.start()
    tracker = spark.sparkContext.statusTracker()
    finished: dict[int, tuple[int, int]] = {}
    while thread.is_alive():
        for stage in tracker.getActiveStageIds():
            info = tracker.getStageInfo(stage)
            if info:
                finished[stage] = (info.numCompletedTasks, info.numTasks)
        done = sum(d for d, _ in finished.values())
        bar.at(done, max(sum(n for _, n in finished.values()), 1))
        _wait(thread, 0.2)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _wait(thread: threading.Thread, seconds: float) -> None:
    end = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < end:
        thread.join(0.02)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn what Spark throws (pages of two languages' stack traces) into its one telling line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # A Python worker's own error is the last line of its traceback; Java's is the first.
        told = [line for line in lines if re.match(r"^[\w.]*(Error|Exception): ", line)]
        python = [line for line in told if not line.startswith(("org.", "java."))]
        line = (python or told or lines or [type(error).__name__])[-1]
        raise IntentError(f"Spark: {line[:500]}") from error
