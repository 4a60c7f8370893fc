"""Spark's settings: from the input's size, each with its reason, none of them a user's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster.spark_conf import (
    ARROW_ROWS,
    GIB,
    MIB,
    SMALL_BYTES,
    TASK_BYTES,
    WHY,
    local_master,
    settings,
    shuffle_tasks,
)  # fmt: skip
from intent.errors import UsageError

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


def test_tasks_are_as_many_as_pieces_of_the_input_in_whole_rounds_of_the_cores():
    assert [shuffle_tasks(size, 8) for size in (0, SMALL_BYTES)] == [1, 1]
    assert shuffle_tasks(SMALL_BYTES + 1, 8) == 8
    assert shuffle_tasks(8 * TASK_BYTES, 8) == 8
    assert shuffle_tasks(8 * TASK_BYTES + 1, 8) == 16
    for size in (50 * MIB, 3 * GIB, 361 * GIB):
        for cores in (1, 2, 7, 100):
            tasks = shuffle_tasks(size, cores)
            assert tasks % cores == 0 and size / tasks <= TASK_BYTES
            assert tasks == cores or size / (tasks - cores) > TASK_BYTES


def test_local_mode_leaves_most_of_the_memory_to_python():
    def heap(cores: int, memory: int | None) -> str:
        return settings(0, cores, True, memory)["spark.driver.memory"]

    assert heap(2, 24 * GIB) == "2048m"
    assert heap(2, 4 * GIB) == "1024m"  # a quarter
    assert heap(2, 2 * GIB) == "1024m"  # Spark needs so much
    assert heap(16, None) == "9216m"


def test_a_cluster_may_try_twice_and_has_room_for_python_beside_java():
    here, there = settings(GIB, 4, True), settings(GIB, 4, False, executor_cores=4)
    assert there["spark.speculation"] == "true" and "spark.speculation" not in here
    assert there["spark.executor.memoryOverhead"] == f"{4 * 1024 + 512}m"
    assert "spark.driver.memory" not in there  # spark-submit has started the driver by then


def test_an_arrow_batch_of_the_largest_rows_is_small():
    assert 2000 <= ARROW_ROWS <= 4096 and ARROW_ROWS * 16 * 1024 <= 64 * MIB


def test_local_mode_retries_as_a_cluster_does():
    assert local_master(2) == "local[2,4]" and local_master(None) == "local[*,4]"


def test_no_core_is_an_error():
    with pytest.raises(UsageError, match="at least one core, got 0"):
        settings(GIB, 0, True)


def test_every_setting_has_its_reason_here_and_its_row_in_the_guide():
    used = settings(GIB, 2, True).keys() | settings(GIB, 2, False).keys()
    assert used == WHY.keys()
    rows = set(re.findall(r"^\| `(spark\.[\w.]+)`", PAGE.read_text(), re.MULTILINE))
    assert rows == used
