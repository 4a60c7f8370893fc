"""The rival: the same groups by a plain PySpark job, as one writes it in a day.

Windows, joins and collect_list to one padded row a group, in three formulations that give the same
rows. Spark's settings are the defaults, except for the two cores and enough memory to live.

    python benchmarks/samples/plain_job.py LOGS CUTS OUT --form arrays [--length 256]

CUTS is a Parquet table (user_id, t0) with the moments to look at, so that both jobs cut at the
same ones; the rival is spared the drawing of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

BEGUN = time.time()
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyspark.sql import Column, DataFrame, SparkSession, Window  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402

from benchmarks.samples import plain_ids as ids  # noqa: E402

FEATURES = {"swipe": ids.SWIPE, "tap": ids.TAP, "browse": ids.BROWSE}


def action() -> Column:
    """An action with its time, which the browse view's age needs; null in the row of a cut."""
    return F.when(F.col("t0").isNull(), F.struct("at", "v"))


def counted(events: DataFrame, cuts: DataFrame) -> DataFrame:
    """Events and cuts in one stream (user_id, at, t0, v, n): n events stand at or before it."""
    kinds = {f.name: f.dataType.simpleString() for f in events.schema}
    happened = events.select(
        "user_id", F.col("timestamp").alias("at"), F.expr("cast(null as long) t0"), "v"
    )
    looks = cuts.select(
        "user_id", F.col("t0").alias("at"), "t0", F.expr(f"cast(null as {kinds['v']}) v")
    )
    before = Window.partitionBy("user_id").orderBy("at", F.col("t0").isNotNull())
    before = before.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return happened.union(looks).withColumn("n", F.count("v").over(before))


def by_windows(events: DataFrame, cuts: DataFrame, length: int) -> DataFrame:
    """(user_id, t0, w): a window function collects the last `length` actions at every row."""
    last = Window.partitionBy("user_id").orderBy("n").rangeBetween(-(length - 1), 0)
    stream = counted(events, cuts).withColumn("w", F.collect_list(action()).over(last))
    return stream.where(F.col("t0").isNotNull()).select("user_id", "t0", "w")


def by_joins(events: DataFrame, cuts: DataFrame, length: int) -> DataFrame:
    """(user_id, t0, w): cuts joined with the numbered actions that they see, collected, sorted."""
    stream = counted(events, cuts)
    seen = stream.where(F.col("t0").isNull()).select(
        F.col("user_id").alias("owner"),
        F.struct(F.col("n").alias("number"), action().alias("a")).alias("e"),
    )
    ends = stream.where(F.col("t0").isNotNull()).select("user_id", "t0", "n")
    number = F.col("e.number")
    near = (number <= F.col("n")) & (number > F.col("n") - length)
    joined = ends.join(seen, (F.col("user_id") == F.col("owner")) & near, "left")
    lists = F.sort_array(F.collect_list("e")).getField("a")
    return joined.groupBy("user_id", "t0").agg(lists.alias("w"))


def by_arrays(events: DataFrame, cuts: DataFrame, length: int) -> DataFrame:
    """(user_id, t0, w): one array of actions a user, from which each cut's part is sliced."""
    lives = counted(events, cuts).groupBy("user_id").agg(
        F.sort_array(F.collect_list(action())).alias("life"),
        F.collect_list(F.when(F.col("t0").isNotNull(), F.struct("t0", "n"))).alias("cuts"),
    )  # fmt: skip

    def window(cut: Column) -> Column:
        size = F.least(cut["n"], F.lit(length))
        part = F.slice("life", (cut["n"] - size + 1).cast("int"), size.cast("int"))
        return F.struct(cut["t0"].alias("t0"), part.alias("w"))

    return lives.select("user_id", F.inline(F.transform("cuts", window)))


FORMS = {"windows": by_windows, "joins": by_joins, "arrays": by_arrays}


def padded(view: str, length: int) -> list[Column]:
    """One array column of `length` ids for each feature, from the window w."""
    columns = []
    window = F.col(view)
    for feature in FEATURES[view]:
        if feature == "age":
            values = F.transform(
                window.getField("at"),
                lambda at: ids.steps(F.col("t0") - at, 300_000, 3_600_000, 25).cast("tinyint"),
            )
        else:
            values = window.getField("v").getField(feature)
        zero = F.lit(0).cast(ids.kind(feature))
        whole = F.concat(values, F.array_repeat(zero, F.lit(length) - F.size(window)))
        columns.append(whole.alias(f"{view}_{feature}"))
    return columns


def groups(spark: SparkSession, logs: str, cuts: DataFrame, length: int, form: str) -> DataFrame:
    """All groups, one row each."""
    views = {
        "swipe": ids.swipe_events(spark, logs),
        "tap": ids.tap_events(spark, logs),
        "browse": ids.browse_events(spark, logs),
    }
    rows = ids.history_and_labels(spark, logs, cuts)
    for name, events in views.items():
        windows = FORMS[form](events, cuts, length).withColumnRenamed("w", name)
        rows = rows.join(windows, ["user_id", "t0"])
    rows = rows.join(ids.profiles(spark, logs), "user_id", "left")
    profile = F.coalesce("profile", F.expr("cast(array_repeat(0, 6) as array<tinyint>)"))
    columns = [c for name in views for c in padded(name, length)]
    labels = ("label_realtime", "label_longterm")
    return rows.select("user_id", "t0", *labels, *columns, "history", profile.alias("profile"))


def main() -> None:
    """Writes the groups; the last line on stdout is {"startup_s", "job_s"}."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("logs", "cuts", "out"):
        parser.add_argument(name)
    parser.add_argument("--form", choices=list(FORMS), default="arrays")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--memory", default="8g", help="of the driver, in which Spark runs")
    a = parser.parse_args()
    spark = (
        SparkSession.builder.appName("plain samples").master(f"local[{a.cores}]")
        .config("spark.driver.memory", a.memory)
        .getOrCreate()
    )  # fmt: skip
    spark.sparkContext.setLogLevel("ERROR")
    started = time.time()
    rows = groups(spark, a.logs, spark.read.parquet(a.cuts), a.length, a.form)
    rows.write.mode("overwrite").option("compression", "zstd").parquet(a.out)
    done = time.time()
    print(json.dumps({"startup_s": started - BEGUN, "job_s": done - started}))


if __name__ == "__main__":
    main()
