"""Spark sessions: one on this machine, or the one that spark-submit started."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import psutil

from cluster import class_archive
from cluster.java import java_home
from cluster.spark_conf import local_master, settings
from intent.errors import IntentError
from intent.progress import Bar

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

T = TypeVar("T")
# What comes too late once Java runs; and the daemon is for executors that can import ours at once.
STARTED_WITH = {
    "spark.driver.memory", "spark.driver.extraJavaOptions", "spark.python.daemon.module",
}  # fmt: skip


def session(name: str, cores: int | None = None) -> SparkSession:
    """The running Spark session, or a new one on this machine.

    Under spark-submit the master and the resources are spark-submit's; else Spark runs inside this
    process tree with `cores` (default all). `cluster.spark_conf` chooses the settings; those that a
    user gave go before them.
    """
    # Spark's workers must be this very interpreter: any other lacks our packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    launch = SparkConf(loadDefaults=False)
    if not submitted and SparkContext._gateway is None:
        os.environ["JAVA_HOME"] = str(java_home())
        launch.setAll(_local_launch(cores).items())
    SparkContext._ensure_initialized(conf=launch)  # starts Java, if it does not run yet
    conf = SparkConf()  # what Java knows by now: ours for local mode, and all that the user gave
    local = conf.get("spark.master", "").startswith("local")
    for key, value in _chosen(conf, local, cores).items():
        if key not in STARTED_WITH:
            conf.setIfMissing(key, value)
    spark = SparkSession.builder.config(conf=conf).appName(name).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _local_launch(cores: int | None) -> dict[str, str]:
    """What Java must know when it starts, in local mode."""
    known = settings(cores or _all_cores(), True, psutil.virtual_memory().total)
    early = ("driver.memory", "python.daemon.module", "ui.enabled", "ui.showConsoleProgress")
    java = [known["spark.driver.extraJavaOptions"], *class_archive.options(os.environ["JAVA_HOME"])]
    return {
        "spark.driver.extraJavaOptions": " ".join(java),
        "spark.master": local_master(cores),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        **{f"spark.{name}": known[f"spark.{name}"] for name in early},
    }


def _chosen(conf: SparkConf, local: bool, cores: int | None) -> dict[str, str]:
    """Our settings for the cores that the session has, as far as they are known by now."""
    if local:
        return settings(cores or _all_cores(), True, psutil.virtual_memory().total)
    each = int(conf.get("spark.executor.cores", "1"))
    executors = int(conf.get("spark.executor.instances", "1"))
    total = int(conf.get("spark.cores.max", str(each * executors)))
    return settings(total, False, executor_cores=each)


def _all_cores() -> int:
    return len(os.sched_getaffinity(0))


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
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JNetworkError, ConnectionError, EOFError) as error:
        raise IntentError(
            "Spark's Java process has ended: it was killed, or ran out of memory. The samples are "
            "as they were; run it again (docs/cluster.md tells how to give more memory)"
        ) from error
    except (PySparkException, Py4JError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # A Python worker's own error is the last line of its traceback; Java's is the first.
        told = [line for line in lines if re.match(r"^[\w.]*(Error|Exception): ", line)]
        python = [line for line in told if not line.startswith(("org.", "java."))]
        line = (python or told or lines or [type(error).__name__])[-1]
        own = re.match(r"intent\.errors\.\w+: (.*)", line)  # ours says all that is to be said
        raise IntentError(own.group(1) if own else f"Spark: {line[:500]}") from error
