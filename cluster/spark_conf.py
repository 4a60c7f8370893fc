"""Spark's settings and tasks for the sample job, from its input's size; docs/cluster.md says why.

The work is done by Python workers, outside of Java: they read, encode, build and write. Java only
moves and sorts the rows of the one shuffle, each a run of packed events, some 12 KiB.

What a user sets (--conf, spark-defaults.conf, PYSPARK_SUBMIT_ARGS) goes before what stands here.
"""

from __future__ import annotations

from intent.errors import UsageError

MIB = 1 << 20
GIB = 1 << 30

# Least and most of the input for a task that reads: starting one costs, and so does losing one.
SPLIT_BYTES = (1 * MIB, 64 * MIB)
SPLITS_PER_CORE = 4  # so that a slow core is made up for by the others
RESULT_BYTES = MIB // 2  # what a task that reads tells the driver: the names that it counted
ROWS_PER_TASK = 2_000_000  # of a task that builds: some 50 MB of runs
SMALL_ROWS = 20_000  # below this a second task costs more than it saves
ARROW_ROWS = 2048  # of a batch to a Python worker, which gets it whole
PYTHON_WORKER_BYTES = 1 * GIB  # what one stays below, however many users there are
FAILURES = 4  # of one task, at which the job fails

WHY = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "batches go to a Python worker whole: of runs "
    "of 12 KiB this makes 24 MiB, where Spark's 10,000 would make 120 MiB",
    "spark.io.compression.codec": "half of the bytes where lz4 leaves 62 %, at 310 against 470 "
    "MB/s: networks and disks are slower than either",
    "spark.sql.session.timeZone": "days are UTC days on every machine",
    "spark.ui.showConsoleProgress": "the job draws its own progress bar",
    "spark.task.maxFailures": "a task may lose its worker three times (local mode has it in the "
    "master's name, local[cores,4])",
    "spark.driver.maxResultSize": "each piece of the logs tells the driver the names that it "
    "counted; beyond Spark's 1 GiB from some 128 GiB of logs on",
    "spark.driver.memory": "in local mode Java only sorts and moves runs: 1 GiB, half a GiB a core "
    "and the results, at most a quarter of the machine",
    "spark.ui.enabled": "in local mode nobody looks, and its port may be taken",
    "spark.speculation": "one slow machine must not hold up the job; two attempts at a task write "
    "the same files under the same names",
    "spark.speculation.quantile": "when nine tasks in ten are done",
    "spark.speculation.multiplier": "and one takes three times the median",
    "spark.speculation.minTaskRuntime": "and a minute: a short task is not worth a second attempt",
    "spark.executor.memoryOverhead": "YARN and Kubernetes kill a container that outgrows its "
    "memory; Python workers live beside Java's heap: 1 GiB each and half a GiB for the rest",
}


def settings(
    input_bytes: int,
    cores: int,
    local: bool,
    memory: int | None = None,
    executor_cores: int = 1,
) -> dict[str, str]:
    """The job's settings for Spark; `WHY` has the reason of each.

    Args:
        input_bytes: size of the logs as they lie there; 0 where it is not known.
        cores: that run tasks, over all executors.
        local: whether Spark runs inside this process tree, or on a cluster.
        memory: bytes of this machine, for local mode; None where it is not known.
        executor_cores: cores of one executor, for a cluster.

    Raises UsageError where there is no core.
    """
    if cores < 1 or executor_cores < 1:
        raise UsageError(f"Spark needs at least one core, got {min(cores, executor_cores)}")
    results = input_bytes // split_bytes(input_bytes, cores) * RESULT_BYTES
    chosen = {
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_ROWS),
        "spark.io.compression.codec": "zstd",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
        "spark.task.maxFailures": str(FAILURES),
        "spark.driver.maxResultSize": _mib(max(GIB, results)),
    }
    if local:
        heap = GIB + cores * GIB // 2 + results
        if memory is not None:
            heap = max(GIB, min(heap, memory // 4))
        return chosen | {"spark.driver.memory": _mib(heap), "spark.ui.enabled": "false"}
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
    return -(-rows // (ROWS_PER_TASK * cores)) * cores if rows > SMALL_ROWS else 1


def local_master(cores: int | None) -> str:
    """The master's name in local mode: a task may fail as often as on a cluster."""
    return f"local[{cores or '*'},{FAILURES}]"


def _mib(size: int) -> str:
    return f"{size // MIB}m"
