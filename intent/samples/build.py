"""One task of the sample job: the runs of some buckets in, shards and their description out.

Nothing here knows Spark: a task is a function over Arrow batches, so it runs and is tested
anywhere. Rows are held for some buckets of users at a time, however many users there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from intent.config import SamplesConfig
from intent.features.span import Span
from intent.samples.columnar import Rows
from intent.samples.exclusion import NOTHING, Exclusion
from intent.samples.life import BuildCounts
from intent.samples.manifest import Shard
from intent.samples.quarantine import QuarantineWriter
from intent.samples.records import unpack
from intent.samples.runs import RUN
from intent.samples.store import write_chunks
from intent.samples.tracks import build_tracks
from intent.schema import Schema

CHUNK_BYTES = 6 << 20  # of runs that are built together: some 250,000 rows


@dataclass(frozen=True)
class BuildPlan:
    """What every task needs to know; small and picklable.

    Attributes:
        root: of the dataset, a local path or a URL.
        schema: views, tasks and window length.
        span: the observed time.
        browse: the time that the browse table covers, which counts and labels come from.
        settings: of the cleaning and the cuts.
        buckets: into how many the users are divided.
        days: cuts are drawn in these days only; None for the whole span.
        exclusion: actions that windows do not show, `settings.exclude` resolved.
    """

    root: str
    schema: Schema
    span: Span
    browse: Span
    settings: SamplesConfig
    buckets: int
    days: Span | None = None
    exclusion: Exclusion = NOTHING


@dataclass
class TaskResult:
    """What a task wrote and counted; rows are keyed by table, or "table/reason"."""

    shards: list[Shard] = field(default_factory=list)
    used: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    quarantined: Counter = field(default_factory=Counter)
    counted: Counter = field(default_factory=Counter)
    quarantine_files: list[str] = field(default_factory=list)

    def add(self, other: TaskResult) -> None:
        """Add another task's result to this one."""
        self.shards += other.shards
        self.quarantine_files += other.quarantine_files
        for name in ("used", "dropped", "quarantined", "counted"):
            getattr(self, name).update(getattr(other, name))


def run_task(batches: Iterable[pa.RecordBatch], plan: BuildPlan) -> TaskResult:
    """Build the shards of one partition; on any error nothing of it stays behind.

    Args:
        batches: runs (`runs.RUN`) sorted by bucket, all of a bucket together.
        plan: the same for every task.
    """
    tally, quarantine = BuildCounts(), QuarantineWriter(plan.root)
    try:
        rows = _rows(batches, plan, tally, quarantine)
        shards = write_chunks(plan.root, rows, plan.schema, plan.settings.groups_per_row_group)
        files = quarantine.close()
    except BaseException:
        quarantine.abandon()
        raise
    return TaskResult(shards, tally.used, tally.dropped, quarantine.counts, tally.counted, files)


def _rows(
    batches: Iterable[pa.RecordBatch],
    plan: BuildPlan,
    tally: BuildCounts,
    quarantine: QuarantineWriter,
) -> Iterator[tuple[np.ndarray, Rows]]:
    for chunk in whole_buckets(batches):
        records, accounts = unpack(chunk, plan.buckets)
        for entry in accounts:
            if "rows" in entry:
                tally.drop(entry["reason"], entry["table"], entry["rows"])
        quarantine.add([entry for entry in accounts if "raw" in entry])
        if len(records.users):
            made = build_tracks(
                records, plan.schema, plan.browse, plan.settings, tally, plan.days, plan.exclusion
            )
            if made is not None:
                yield made


def whole_buckets(
    batches: Iterable[pa.RecordBatch], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[pa.Table]:
    """Regroup sorted batches into tables that never split a bucket."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        batch = batch if batch.schema == RUN else batch.cast(RUN)
        if not batch.num_rows:
            continue
        bucket = batch.column(1).to_numpy()
        if size >= chunk_bytes and held and held[-1].column(1)[-1].as_py() != bucket[0]:
            yield pa.Table.from_batches(held)
            held, size = [], 0
        last = int(np.searchsorted(bucket, bucket[-1]))  # where the bucket that may go on begins
        if last and size + batch.nbytes >= chunk_bytes:
            yield pa.Table.from_batches([*held, batch.slice(0, last)])
            held, batch, size = [], batch.slice(last), 0
        held.append(batch)
        size += batch.nbytes
    if held:
        yield pa.Table.from_batches(held)
