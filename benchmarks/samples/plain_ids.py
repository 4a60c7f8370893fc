"""The paper's discretization as Spark SQL column expressions: the first half of the plain job.

Written from the paper and docs/samples.md alone, and imports nothing of ours, so that its agreement
with our samples also checks them. It takes clean logs: it looks for no duplicates, no broken rows
and no wrong clocks, which our job does.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

DAY_MS = 86_400_000
SWIPE = (
    "page", "action", "time_gap", "tap_x", "tap_y", "start_x", "start_y", "end_x", "end_y",
    "length_x", "length_y", "right_left", "up_down", "duration",
)  # fmt: skip
TAP = ("event", "page", "button")
BROWSE = ("type", "leaf_category", "top_category", "page", "stay_time", "age")
WIDE = ("page", "button", "leaf_category", "stay_time")  # more ids than a tinyint holds
PROFILE = {
    "age_level": 9, "gender": 3, "buyer_star": 17, "tm_level": 6, "vip_level": 8, "phone_price": 11
}  # fmt: skip
WINDOWS = {7: 20, 14: 20, 30: 40, 91: 60, 182: 80, 365: 100}  # days of history -> levels


def kind(feature: str) -> str:
    """Spark's type of a feature's ids."""
    return "smallint" if feature in WIDE else "tinyint"


def steps(x: Column, fine: int, coarse: int, levels: int) -> Column:
    """The step function of section 3.1: ids 1..levels of milliseconds; null stays null."""
    high = F.floor(x / coarse) + (coarse // fine - 1)
    return F.when(x < coarse, F.floor(x / fine)).otherwise(F.least(high, F.lit(levels - 1))) + 1


def segment(x: Column, size: Column, parts: int) -> Column:
    """The screen cut into equal segments: ids 1..parts; null stays null."""
    return F.least(F.floor(x / size * parts), F.lit(parts - 1)) + 1


def word(column: str, words: tuple[str, ...]) -> Column:
    """Ids 1.. of a column that has few, fixed words."""
    found = F.when(F.col(column) == words[0], 1)
    for number, name in enumerate(words[1:], 2):
        found = found.when(F.col(column) == name, number)
    return found


def number(name: str) -> Column:
    """A column of pixels as double, so that differences are exact."""
    return F.col(name).cast("double")


def with_ids(events: DataFrame, column: str, size: int) -> DataFrame:
    """`events` with the names in `column` replaced by ids: the `size` most frequent, from 2 on."""
    counts = events.groupBy(column).count().where(F.col(column).isNotNull())
    first = Window.orderBy(F.desc("count"), column)
    ids = counts.withColumn("id", F.row_number().over(first) + 1).where(F.col("id") <= size + 1)
    known = F.coalesce("id", F.when(F.col(column).isNotNull(), 1), F.lit(0))
    joined = events.join(F.broadcast(ids.select(column, "id")), column, "left")
    return joined.withColumn(column, known).drop("id")


def _packed(events: DataFrame, features: tuple[str, ...], columns: dict[str, Column]) -> DataFrame:
    """(user_id, timestamp, v): v the struct of an action's ids, 0 where it has none."""
    fields = [F.coalesce(columns[f], F.lit(0)).cast(kind(f)).alias(f) for f in features]
    return events.select("user_id", "timestamp", F.struct(*fields).alias("v"))


def swipe_events(spark: SparkSession, logs: str) -> DataFrame:
    """The swipe view of every user (Table 3a)."""
    events = with_ids(spark.read.parquet(f"{logs}/touch"), "page", 224)
    width, height = F.col("screen_width"), F.col("screen_height")
    tap, swipe = F.col("action") == "tap", F.col("action") == "swipe"
    columns = {
        "page": F.col("page"),
        "action": word("action", ("open_page", "leave_page", "swipe", "tap")),
        "tap_x": F.when(tap, segment(number("x"), width, 17)),
        "tap_y": F.when(tap, segment(number("y"), height, 25)),
        "duration": F.when(swipe, steps(F.col("duration_ms"), 25, 250, 20)),
    }
    for axis, size, parts in (("x", width, 17), ("y", height, 25)):
        start, end = number(f"start_{axis}"), number(f"end_{axis}")
        way = end - start
        length = segment(F.abs(way), size, parts) + F.when(way < 0, parts).otherwise(0)
        for name, value in (("start", start), ("end", end)):
            columns[f"{name}_{axis}"] = F.when(swipe, segment(value, size, parts))
        columns[f"length_{axis}"] = F.when(swipe, length)
        sign = way if axis == "x" else -way
        name = "right_left" if axis == "x" else "up_down"
        columns[name] = F.when(swipe, F.when(sign > 0, 1).when(sign < 0, 2))
    before = F.lag("timestamp").over(Window.partitionBy("user_id").orderBy("timestamp"))
    gap = steps(F.col("timestamp") - before, 100, 1_000, 20)
    columns["time_gap"] = F.coalesce(gap, F.lit(20))
    return _packed(events, SWIPE, columns)


def tap_events(spark: SparkSession, logs: str) -> DataFrame:
    """The tap view of every user (Table 3b)."""
    events = spark.read.parquet(f"{logs}/tap")
    for column, size in (("page", 200), ("button", 500)):
        events = with_ids(events, column, size)
    columns = {name: F.col(name) for name in ("page", "button")}
    return _packed(events, TAP, columns | {"event": word("event", ("page", "button"))})


def browse_events(spark: SparkSession, logs: str) -> DataFrame:
    """The browse view of every user (Table 3c); the age depends on the cut, so it comes later."""
    events = spark.read.parquet(f"{logs}/browse")
    for column, size in (("leaf_category", 19_011), ("top_category", 102), ("page", 181)):
        events = with_ids(events, column, size)
    columns = {name: F.col(name) for name in ("leaf_category", "top_category", "page")}
    columns["type"] = word("type", ("browse", "search", "collect", "cart", "purchase"))
    columns["stay_time"] = steps(F.col("stay_ms"), 1_000, 60_000, 179)
    return _packed(events, BROWSE[:-1], columns)


def profiles(spark: SparkSession, logs: str) -> DataFrame:
    """(user_id, profile): six ids (Table 3e)."""
    levels = [
        F.when(F.col(name).between(0, size - 1), F.col(name) + 1).otherwise(0)
        for name, size in PROFILE.items()
    ]
    table = spark.read.parquet(f"{logs}/profile")
    return table.select("user_id", F.array(*levels).cast("array<tinyint>").alias("profile"))


def history_and_labels(spark: SparkSession, logs: str, cuts: DataFrame) -> DataFrame:
    """(user_id, t0, history, label_realtime, label_longterm) of every cut (Table 3d, section 4.4).

    A daily count of the history table counts as of the day's last millisecond.
    """
    actions = ("collect", "cart", "purchase")
    browse = spark.read.parquet(f"{logs}/browse").where(F.col("type").isin(*actions))
    flags = [(F.col("type") == a).cast("int").alias(a) for a in actions]
    happened = browse.select("user_id", F.col("timestamp").alias("at"), *flags)
    day = F.datediff(F.to_date("day"), F.lit("1970-01-01")).cast("long")
    daily = spark.read.parquet(f"{logs}/history")
    daily = daily.select("user_id", ((day + 1) * DAY_MS - 1).alias("at"), *actions)
    at, t0 = F.col("at"), F.col("t0")
    ids = [
        F.coalesce(
            F.sum(F.when((at <= t0) & (at > t0 - days * DAY_MS), F.col(action))), F.lit(0)
        ).alias(f"{action}_{days}")
        for action in actions
        for days in WINDOWS
    ]
    labels = [
        F.coalesce(
            F.max(((F.col("purchase") > 0) & (at > t0) & (at <= t0 + span)).cast("tinyint")),
            F.lit(0),
        ).alias(name)
        for name, span in (("label_realtime", DAY_MS // 24), ("label_longterm", DAY_MS))
    ]
    joined = cuts.join(happened.union(daily), "user_id", "left")
    counted = joined.groupBy("user_id", "t0").agg(*ids, *labels)
    levels = [
        F.least(F.col(f"{action}_{days}"), F.lit(size - 1)) + 1
        for action in actions
        for days, size in WINDOWS.items()
    ]
    history = F.array(*levels).cast("array<tinyint>").alias("history")
    return counted.select("user_id", "t0", history, "label_realtime", "label_longterm")
