"""The sample job on Spark: two scans of the logs and one shuffle.

    logs -> survey (names, days)           -> dictionaries, span
    logs -> encode -> shuffle by user, sort -> run_task -> shards -> manifest

The first scan counts names and days. The second encodes rows where they lie (a record is a few
dozen bytes), brings each user's records together, sorted, and lets `intent.samples.build` write
the shards inside the executors. Only their descriptions come back; the manifest is written last.
"""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial, reduce
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.spark import with_progress
from intent.errors import IntentError
from intent.features import tables
from intent.features.encode import ORDER, RECORD, encode
from intent.features.history import TIME_BITS
from intent.features.span import Span, observed_span
from intent.features.vocabulary import Dictionaries
from intent.progress import progress
from intent.samples.build import BuildPlan, TaskResult, run_task
from intent.schema import DAY_MS, PAPER

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RECORD_SQL = (  # encode.RECORD in Spark's words
    "user_id string, kind byte, timestamp long, ids binary, row_hash long, reason string, "
    "raw string"
)
# Prefixes of what the survey counts beside names; of the last one it takes the largest value
ROWS, DAYS, LAST = "rows of", "day of", "latest of"
RECORDS_PER_TASK = 2_000_000


def survey(spark: SparkSession, frames: dict[str, DataFrame]) -> dict[str, Counter]:
    """Count, in one scan, the rows and days of each table and the names of each vocabulary.

    Returns {"swipe.page": {"Page_Home": 17, ...}, "day of browse": {"20458": 3, ...},
    "latest of browse": {"20458": 1767657599000, ...}, "rows of browse": {"": 42}, ...}.
    """
    counted = [
        frame.mapInArrow(partial(_count_batches, name), "what string, name string, n long")
        for name, frame in frames.items()
    ]
    from pyspark.sql import functions as F

    union = reduce(lambda a, b: a.union(b), counted).groupBy("what", "name")
    total = union.agg(F.sum("n"), F.max("n"))
    with progress("survey", unit="tasks") as bar:
        rows = with_progress(spark, bar, total.collect)
    found: dict[str, Counter] = defaultdict(Counter)
    for what, name, n, largest in rows:
        found[what][name] = largest if what.startswith(LAST) else n
    return found


def _count_batches(table: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield count_batch(table, batch)


def count_batch(table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Counts of one batch, columns (what, name, n)."""
    parts = [(f"{ROWS} {table}", pa.array([""]), pa.array([batch.num_rows], pa.int64()))]
    if table in tables.EVENT_TABLES:
        time, bad = tables.time_ms(tables.column_of(batch, "timestamp"))
        no_user = pc.is_null(tables.text(tables.column_of(batch, "user_id")))
        good = (
            ~bad & ~no_user.to_numpy(zero_copy_only=False) & (time >= 0) & (time < 1 << TIME_BITS)
        )
        day = time[good] // DAY_MS
        days, place, n = np.unique(day, return_inverse=True, return_counts=True)
        latest = np.zeros(len(days), np.int64)
        np.maximum.at(latest, place, time[good])
        parts.append((f"{DAYS} {table}", pa.array(days), pa.array(n)))
        parts.append((f"{LAST} {table}", pa.array(days), pa.array(latest)))
        view = tables.EVENT_TABLES[table]
        for key in Dictionaries.keys(PAPER):
            owner, _, column = key.partition(".")
            if owner == view:
                words = tables.text(tables.column_of(batch, column))
                counts = pc.value_counts(words.filter(pa.array(good)).drop_null())
                parts.append((key, counts.field("values"), counts.field("counts")))
    columns = [
        pa.concat_arrays([pa.array([what] * len(n), pa.string()) for what, _, n in parts]),
        pa.concat_arrays([names.cast(pa.string()) for _, names, _ in parts]),
        pa.concat_arrays([n.cast(pa.int64()) for _, _, n in parts]),
    ]
    return pa.RecordBatch.from_arrays(columns, ["what", "name", "n"])


def span_of(found: dict[str, Counter]) -> Span:
    """The observed days according to a survey; IntentError where no row has a user and a time."""
    days: Counter = Counter()
    last: dict[int, int] = {}
    for what, counts in found.items():
        for day, n in counts.items():
            if what.startswith(DAYS):
                days[int(day)] += n
            elif what.startswith(LAST):
                last[int(day)] = max(n, last.get(int(day), 0))
    if not days:
        rows = sum(c[""] for w, c in found.items() if w.startswith(ROWS))
        raise IntentError(
            f"none of the {rows:,} rows has a user_id and a timestamp in epoch milliseconds; "
            "nothing can be built from these logs"
        )
    return observed_span(days, last)


def build(
    spark: SparkSession,
    frames: dict[str, DataFrame],
    dictionaries: Dictionaries,
    plan: BuildPlan,
    rows: int,
    partitions: int | None = None,
) -> TaskResult:
    """Encode, shuffle once, and write the shards; returns what all tasks wrote and counted."""
    from pyspark.sql import functions as F

    encoded = [
        frame.mapInArrow(partial(_encode_batches, name, dictionaries, plan.span), RECORD_SQL)
        for name, frame in frames.items()
    ]
    records = reduce(lambda a, b: a.union(b), encoded)
    partitions = partitions or max(1, -(-rows // RECORDS_PER_TASK), _cores(spark, rows))
    # Rows without a user go to quarantine; their hash spreads them over the tasks.
    owner = F.coalesce("user_id", F.col("row_hash").cast("string"))
    tasks = (
        records.repartition(partitions, owner)
        .sortWithinPartitions(*ORDER)
        .mapInArrow(partial(_run_batches, plan), "result binary")
    )
    with progress("samples", unit="tasks") as bar:
        collected = with_progress(spark, bar, tasks.collect)
    total = TaskResult()
    for row in collected:
        total.add(pickle.loads(row[0]))
    return total


def _cores(spark: SparkSession, rows: int) -> int:
    """Every core gets a task unless there is hardly anything to do."""
    return spark.sparkContext.defaultParallelism if rows > 20_000 else 1


def _encode_batches(
    table: str, dictionaries: Dictionaries, span: Span, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from encode(table, batch, dictionaries, span).to_batches()


def _run_batches(plan: BuildPlan, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    result = run_task((b.cast(RECORD) for b in batches), plan)
    yield pa.RecordBatch.from_arrays([pa.array([pickle.dumps(result)], pa.binary())], ["result"])
