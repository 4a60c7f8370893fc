"""Spark's settings for the sample job, and its tasks by its input's size; docs/cluster.md: why.

The work is done by Python workers, outside of Java: they read, encode, build and write. Java only
moves and sorts the rows of the one shuffle, each a run of packed events, some 12 KiB.

What a user sets (--conf, spark-defaults.conf, PYSPARK_SUBMIT_ARGS) goes before what stands here.
"""

from __future__ import annotations

from pathlib import Path

from intent.errors import UsageError

MIB = 1 << 20
GIB = 1 << 30

# Least and most of the input for a task that reads: starting one costs, and so does losing one.
SPLIT_BYTES = (1 * MIB, 64 * MIB)
SPLITS_PER_CORE = 4  # so that a slow core is made up for by the others
# Rows of a task that builds. A few million are enough to keep a core busy for seconds; where they
# would be thousands of tasks, fewer and larger ones write fewer and larger files.
ROWS_PER_TASK = (2_000_000, 20_000_000)
ROUNDS = 4  # of tasks a core before they grow
SMALL_ROWS = 20_000  # below this a second task costs more than it saves
ARROW_ROWS = 2048  # of a batch to a Python worker, which gets it whole
PYTHON_WORKER_BYTES = 1 * GIB  # what one stays below, however many users there are
FAILURES = 4  # of one task, at which the job fails

QUIET = f"-Dlog4j2.configurationFile=file:{Path(__file__).with_name('log4j2.properties')}"

WHY = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "batches go to a Python worker whole: of runs "
    "of 12 KiB this makes 24 MiB, where Spark's 10,000 would make 120 MiB",
    "spark.io.compression.codec": "half of the bytes where lz4 leaves 62 %, at 310 against 470 "
    "MB/s: networks and disks are slower than either",
    "spark.sql.session.timeZone": "days are UTC days on every machine",
    "spark.ui.showConsoleProgress": "the job draws its own progress bar",
    "spark.task.maxFailures": "a task may lose its worker three times (local mode has it in the "
    "master's name, local[cores,4])",
    "spark.driver.memory": "in local mode Java only sorts and moves runs: 1 GiB and half a GiB a "
    "core, at most a quarter of the machine",
    "spark.ui.enabled": "in local mode nobody looks, and its port may be taken",
    "spark.python.daemon.module": "in local mode: workers are forked with all packages loaded, and "
    "Spark's archives, which Python would read again for every task, are off its path",
    "spark.driver.extraJavaOptions": "in local mode: errors only, and the quick compiler alone; "
    "Java does too little for the thorough one to pay",
    "spark.speculation": "one slow machine must not hold up the job; two attempts at a task write "
    "the same files under the same names",
    "spark.speculation.quantile": "when nine tasks in ten are done",
    "spark.speculation.multiplier": "and one takes three times the median",
    "spark.speculation.minTaskRuntime": "and a minute: a short task is not worth a second attempt",
    "spark.executor.memoryOverhead": "YARN and Kubernetes kill a container that outgrows its "
    "memory; Python workers live beside Java's heap: 1 GiB each and half a GiB for the rest",
}


def settings(
    cores: int,
    local: bool,
    memory: int | None = None,
    executor_cores: int = 1,
) -> dict[str, str]:
    """The job's settings for Spark; `WHY` has the reason of each.

    Args:
        cores: that run tasks, over all executors.
        local: whether Spark runs inside this process tree, or on a cluster.
        memory: bytes of this machine, for local mode; None where it is not known.
        executor_cores: cores of one executor, for a cluster.

    Raises UsageError where there is no core.
    """
    if cores < 1 or executor_cores < 1:
        raise UsageError(f"Spark needs at least one core, got {min(cores, executor_cores)}")
    chosen = {
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_ROWS),
        "spark.io.compression.codec": "zstd",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
        "spark.task.maxFailures": str(FAILURES),
    }
    if local:
        heap = GIB + cores * GIB // 2
        if memory is not None:
            heap = max(GIB, min(heap, memory // 4))
        return chosen | {
            "spark.driver.memory": _mib(heap),
            "spark.ui.enabled": "false",
            "spark.python.daemon.module": "cluster.spark_daemon",
            "spark.driver.extraJavaOptions": f"-XX:TieredStopAtLevel=1 {QUIET}",
        }
    return chosen | {
        "spark.speculation": "true",
        "spark.speculation.quantile": "0.9",
        "spark.speculation.multiplier": "3",
        "spark.speculation.minTaskRuntime": "60s",
        "spark.executor.memoryOverhead": _mib(executor_cores * PYTHON_WORKER_BYTES + GIB // 2),
    }


def split_bytes(input_bytes: int, cores: int) -> int:
    """Bytes of the input for a task that reads: a core gets some such pieces, none too large."""
    least, most = SPLIT_BYTES
    return min(max(input_bytes // (SPLITS_PER_CORE * cores), least), most)


def build_tasks(rows: int, cores: int) -> int:
    """Tasks that build samples: one for hardly any rows, else a multiple of the cores.

    A multiple, so that the last round of tasks keeps every core busy too.
    """
    if rows <= SMALL_ROWS:
        return 1
    least, most = ROWS_PER_TASK
    rounds = min(-(-rows // (least * cores)), ROUNDS)
    return max(rounds, -(-rows // (most * cores))) * cores


def local_master(cores: int | None) -> str:
    """The master's name in local mode: a task may fail as often as on a cluster."""
    return f"local[{cores or '*'},{FAILURES}]"


def _mib(size: int) -> str:
    return f"{size // MIB}m"
