"""Spark's settings: from the input's size, each with its reason, none of them a user's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster.spark_conf import (
    ARROW_ROWS,
    GIB,
    MIB,
    ROUNDS,
    ROWS_PER_TASK,
    SMALL_ROWS,
    WHY,
    build_tasks,
    local_master,
    settings,
    split_bytes,
)
from intent.errors import UsageError
from intent.samples.runs import RUN_ROWS

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


def test_tasks_that_build_come_in_whole_rounds_of_the_cores():
    least, most = ROWS_PER_TASK
    assert [build_tasks(rows, 8) for rows in (0, SMALL_ROWS)] == [1, 1]
    assert build_tasks(SMALL_ROWS + 1, 8) == build_tasks(8 * least, 8) == 8
    assert build_tasks(8 * least + 1, 8) == 16
    assert build_tasks(8 * ROUNDS * least, 8) == build_tasks(8 * ROUNDS * most, 8) == 8 * ROUNDS
    for rows in (50_000, 30_000_000, 22_600_000_000):
        for cores in (1, 2, 7, 100):
            tasks = build_tasks(rows, cores)
            assert tasks % cores == 0 and rows / tasks <= most
            assert tasks <= ROUNDS * cores or rows / (tasks - cores) > most


def test_what_a_task_reads_grows_with_the_input_up_to_a_limit():
    assert [split_bytes(size, 2) for size in (0, 8 * MIB)] == [MIB, MIB]
    assert split_bytes(80 * MIB, 2) == 10 * MIB
    assert split_bytes(361 * GIB, 2) == 64 * MIB == split_bytes(361 * GIB, 400)


def test_local_mode_leaves_most_of_the_memory_to_python():
    def heap(cores: int, memory: int | None) -> str:
        return settings(cores, True, memory)["spark.driver.memory"]

    assert heap(2, 24 * GIB) == "2048m"
    assert heap(2, 4 * GIB) == "1024m"  # a quarter
    assert heap(2, 2 * GIB) == "1024m"  # Spark needs so much
    assert heap(16, None) == "9216m"


def test_a_cluster_may_try_twice_and_has_room_for_python_beside_java():
    here, there = settings(4, True), settings(4, False, executor_cores=4)
    assert there["spark.speculation"] == "true" and "spark.speculation" not in here
    assert there["spark.executor.memoryOverhead"] == f"{4 * 1024 + 512}m"
    assert "spark.driver.memory" not in there  # spark-submit has started the driver by then


def test_an_arrow_batch_of_the_largest_rows_is_small():
    assert 2000 <= ARROW_ROWS <= 4096 and ARROW_ROWS * RUN_ROWS * 24 <= 32 * MIB


def test_local_mode_retries_as_a_cluster_does():
    assert local_master(2) == "local[2,4]" and local_master(None) == "local[*,4]"


def test_no_core_is_an_error():
    with pytest.raises(UsageError, match="at least one core, got 0"):
        settings(0, True)


def test_every_setting_has_its_reason_here_and_its_row_in_the_guide():
    used = settings(2, True).keys() | settings(2, False).keys()
    assert used == WHY.keys()
    rows = set(re.findall(r"^\| `(spark\.[\w.]+)`", PAGE.read_text(), re.MULTILINE))
    assert rows == used
