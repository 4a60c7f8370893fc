"""The sample job on Spark: two readings of the logs and one shuffle.

    splits -> read -> survey                        -> dictionaries, span
    splits -> read, encode, runs -> shuffle -> run_task -> shards -> manifest

Spark is told how many splits there are, and which task comes next; it never sees a row of the logs.
A task reads its split with Arrow in the executor's Python, turns the rows into ids, and gives Spark
runs of bytes, each with rows of some users (`intent.samples.runs`). The shuffle brings all runs of
a bucket together, and `intent.samples.build` writes the shards inside the executors. Only their
descriptions come back; the manifest is written last.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from cluster.placement import keys_of_tasks
from cluster.spark import with_progress
from cluster.spark_conf import build_tasks
from intent.features.encode import Encoded, Limits, encode
from intent.features.log_files import Split
from intent.features.log_readers import read_split
from intent.features.vocabulary import Dictionaries
from intent.progress import progress
from intent.samples.build import BuildPlan, TaskResult, run_task
from intent.samples.runs import Places, account_runs, accounts, runs
from intent.samples.survey import Survey, needed_columns
from intent.samples.survey import survey as survey_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# runs.RUN in Spark's words
RUN_SQL = "place long, bucket long, kind byte, sizes binary, names binary, rows binary"
BUCKET_ROWS = 500_000  # which a task that builds has in memory together: some 100 MB
FLUSH_ROWS = 1_500_000  # which a task that reads gathers before it sorts them into runs
SURVEYS_TOLD = 64  # at most, to the driver; more are added up before


@dataclass(frozen=True)
class Reading:
    """What a task that reads logs needs to know."""

    splits: Sequence[Split]
    dictionaries: Dictionaries
    limits: Limits
    places: Places


def survey(spark: SparkSession, splits: Sequence[Split], names: bool = True) -> Survey:
    """Count rows and days, with `names` also the names of each vocabulary, in one reading."""
    total = Survey()
    with progress("survey", unit="tasks") as bar:
        found = _each_split(spark, len(splits), partial(_survey_splits, splits, names), _RESULT)
        if len(splits) > SURVEYS_TOLD:
            found = found.repartition(SURVEYS_TOLD).mapInArrow(_add_surveys, _RESULT)
        for row in with_progress(spark, bar, found.collect):
            total.add(pickle.loads(row[0]))
    return total


def places(rows: int, cores: int, tasks: int | None = None) -> Places:
    """How the users are divided among the tasks that build, for so many rows on so many cores."""
    tasks = tasks or build_tasks(rows, cores)
    buckets = -(-rows // (BUCKET_ROWS * tasks)) * tasks
    return Places(max(buckets, tasks), keys_of_tasks(tasks))


def build(spark: SparkSession, reading: Reading, plan: BuildPlan) -> TaskResult:
    """Encode, shuffle once, and write the shards; returns what all tasks wrote and counted."""
    encoded = _each_split(spark, len(reading.splits), partial(_encode_splits, reading), RUN_SQL)
    tasks = (
        encoded.repartition(len(reading.places.keys), "place")
        .sortWithinPartitions("bucket")
        .mapInArrow(partial(_run_batches, plan), _RESULT)
    )
    total = TaskResult()
    with progress("samples", unit="tasks") as bar:
        for row in with_progress(spark, bar, tasks.collect):
            total.add(pickle.loads(row[0]))
    return total


_RESULT = "result binary"


def _each_split(spark: SparkSession, splits: int, work: Callable, schema: str) -> DataFrame:
    """A task for each split, which `work` is given the number of."""
    return spark.range(0, splits, 1, splits).mapInArrow(work, schema)


def _result(value: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([pickle.dumps(value)], pa.binary())], ["result"])


def _survey_splits(
    splits: Sequence[Split], names: bool, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for number in _numbers(batches):
        split = splits[number]
        rows = read_split(split, needed_columns(split.table, names))
        yield _result(survey_table(split.table, rows, names))


def _add_surveys(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    total = Survey()
    for batch in batches:
        for told in batch.column(0).to_pylist():
            total.add(pickle.loads(told))
    yield _result(total)


def _encode_splits(reading: Reading, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for number in _numbers(batches):
        yield from encode_split(reading, reading.splits[number])


def encode_split(reading: Reading, split: Split) -> Iterator[pa.RecordBatch]:
    """The runs of one split."""
    pieces: list[Encoded] = []
    rows = 0
    for batch in read_split(split):
        piece = encode(split.table, batch, reading.dictionaries, reading.limits)
        yield from account_runs(list(accounts(piece, batch)), reading.places)
        # Rows of two kinds cannot be in one run: some files may lack the time of receipt.
        if pieces and (pieces[0].delay is None) != (piece.delay is None):
            yield from runs(pieces, reading.places)
            pieces, rows = [], 0
        pieces.append(piece)
        rows += batch.num_rows
        if rows >= FLUSH_ROWS:
            yield from runs(pieces, reading.places)
            pieces, rows = [], 0
    if pieces:
        yield from runs(pieces, reading.places)


def _numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


def _run_batches(plan: BuildPlan, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    # Spark names the columns; their types are those of RUN, whatever nullability it adds.
    yield _result(run_task((b.select(PLANNED) for b in batches), plan))


PLANNED = [name.split()[0] for name in RUN_SQL.split(", ")]
