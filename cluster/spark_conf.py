"""Spark's settings for the sample job, from the size of its input. docs/cluster.md has the table.

The work is done by Python workers, outside of Java: they read, encode, build and write. Java only
moves and sorts the rows of the one shuffle, each the packed events of a user, up to 16 KiB.

What a user sets (--conf, spark-defaults.conf, PYSPARK_SUBMIT_ARGS) goes before what stands here.
"""

from __future__ import annotations

from intent.errors import UsageError

MIB = 1 << 20
GIB = 1 << 30

# Arrow batches go to a Python worker whole: 2,048 rows of 16 KiB are 32 MiB at most.
ARROW_ROWS = 2048
# Input of a task that builds samples. Parquet logs take 16 bytes an event, so 8 million events;
# tasks sort in Java, where they spill, and build a few users at a time.
TASK_BYTES = 128 * MIB
# Below this a second task costs more (a Python worker's start) than it saves.
SMALL_BYTES = 1 * MIB
PYTHON_WORKER_BYTES = 1 * GIB  # what one stays below, however many users there are
FAILURES = 4  # of one task, at which the job fails

WHY = {
    "spark.sql.shuffle.partitions": "as many tasks as the input has pieces of 128 MiB, and no "
    "fewer than cores",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "a row of the shuffle has up to 16 KiB, so a "
    "batch has up to 32 MiB; Spark's 10,000 would make it 160 MiB, twice in memory",
    "spark.sql.adaptive.enabled": "merges the small tasks of counting; leaves the shuffle of the "
    "events alone, whose number of tasks is given",
    "spark.io.compression.codec": "a third of the bytes where lz4 leaves a half, at 295 against "
    "432 MB/s: the network is slower than either",
    "spark.sql.session.timeZone": "days are UTC days on every machine",
    "spark.ui.showConsoleProgress": "the job draws its own progress bar",
    "spark.task.maxFailures": "a task may lose its worker three times (local mode has it in the "
    "master's name, local[cores,4])",
    "spark.driver.memory": "in local mode Java only sorts and moves shuffle rows: 1 GiB and half "
    "a GiB a core, at most a quarter of the machine",
    "spark.ui.enabled": "in local mode nobody looks, and its port may be taken",
    "spark.speculation": "one slow machine must not hold up the job; two attempts at a task write "
    "the same files under the same names",
    "spark.speculation.quantile": "when nine tasks in ten are done",
    "spark.speculation.multiplier": "and one takes three times the median",
    "spark.speculation.minTaskRuntime": "and a minute: a short task is not worth a second attempt",
    "spark.executor.memoryOverhead": "YARN and Kubernetes kill a container that outgrows its "
    "memory; Python workers live beside Java's heap: 1 GiB each and a half GiB for the rest",
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
    chosen = {
        "spark.sql.shuffle.partitions": str(shuffle_tasks(input_bytes, cores)),
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_ROWS),
        "spark.sql.adaptive.enabled": "true",
        "spark.io.compression.codec": "zstd",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
        "spark.task.maxFailures": str(FAILURES),
    }
    if local:
        return chosen | {
            "spark.driver.memory": f"{_local_heap(cores, memory) // MIB}m",
            "spark.ui.enabled": "false",
        }
    overhead = executor_cores * PYTHON_WORKER_BYTES + GIB // 2
    return chosen | {
        "spark.speculation": "true",
        "spark.speculation.quantile": "0.9",
        "spark.speculation.multiplier": "3",
        "spark.speculation.minTaskRuntime": "60s",
        "spark.executor.memoryOverhead": f"{overhead // MIB}m",
    }


def shuffle_tasks(input_bytes: int, cores: int) -> int:
    """Tasks that build samples: one for a small input, else a multiple of the cores.

    A multiple, so that the last round of tasks keeps every core busy too.
    """
    if input_bytes <= SMALL_BYTES:
        return 1
    rounds = -(-input_bytes // (TASK_BYTES * cores))
    return rounds * cores


def local_master(cores: int | None) -> str:
    """The master's name in local mode: a task may fail as often as on a cluster."""
    return f"local[{cores or '*'},{FAILURES}]"


def _local_heap(cores: int, memory: int | None) -> int:
    wanted = GIB + cores * GIB // 2
    return wanted if memory is None else max(GIB, min(wanted, memory // 4))
