"""Our copy of Spark's hash sends a number where Spark sends it."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.placement import keys_of_tasks, spark_task


@pytest.mark.parametrize("tasks", [1, 2, 7, 1000])
def test_each_task_has_a_number_that_leads_to_it(tasks):
    keys = keys_of_tasks(tasks)
    assert (spark_task(keys, tasks) == np.arange(tasks)).all()


def test_spark_agrees():
    from cluster.spark import session

    spark = session("placement", 2)
    numbers = np.r_[np.arange(50), -1, 2**62, -(2**63), 2**31, keys_of_tasks(7)]
    frame = spark.createDataFrame([(int(n),) for n in numbers], "n long")
    from pyspark.sql import functions as F

    rows = frame.repartition(7, "n").select("n", F.spark_partition_id().alias("task")).collect()
    got = {row["n"]: row["task"] for row in rows}
    assert got == dict(zip(numbers.tolist(), spark_task(numbers, 7).tolist(), strict=True))
    wrong = (spark_task(numbers + 1, 7) == spark_task(numbers, 7)).mean()
    assert wrong < 0.5  # another number goes elsewhere, so agreement is no accident
