"""One task of the sample job: sorted records of some users in, shards and their description out.

Nothing here knows Spark: a task is a function over Arrow batches, so it runs and is tested
anywhere. Usable rows are held for one chunk of users at a time, however many users there are;
unusable rows, which should be few, are held until the task's end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from intent import storage
from intent.features.encode import OUTSIDE_SPAN, RECORD
from intent.features.span import Span
from intent.features.tables import TABLES
from intent.samples.manifest import Shard
from intent.samples.store import write_shards
from intent.samples.tracks import BuildCounts, TrackRow, build_tracks
from intent.schema import Schema

CHUNK_ROWS = 200_000  # records of complete users that are built together

QUARANTINE = "_quarantine"  # readers of a dataset pass over names that begin so
QUARANTINE_ROW = pa.schema([("table", pa.string()), ("reason", pa.string()), ("row", pa.string())])

TABLE_OF_KIND = {t.kind: t.name for t in TABLES.values()}


@dataclass(frozen=True)
class BuildPlan:
    """What every task needs to know; small and picklable."""

    root: str
    schema: Schema
    span: Span
    cuts_per_day: int
    groups_per_row_group: int
    seed: int
    days_chosen: bool = False  # by the user: rows of other days are left out, not unusable


@dataclass
class TaskResult:
    """What a task wrote and counted; counts are keyed by table, or "table/reason"."""

    shards: list[Shard] = field(default_factory=list)
    used: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    quarantined: Counter = field(default_factory=Counter)
    censored_cuts: int = 0
    quarantine_files: list[str] = field(default_factory=list)

    def add(self, other: TaskResult) -> None:
        """Add another task's result to this one."""
        self.shards += other.shards
        self.used.update(other.used)
        self.dropped.update(other.dropped)
        self.quarantined.update(other.quarantined)
        self.censored_cuts += other.censored_cuts
        self.quarantine_files += other.quarantine_files


def run_task(batches: Iterable[pa.RecordBatch], plan: BuildPlan) -> TaskResult:
    """Build the shards of one partition.

    Args:
        batches: records (`encode.RECORD`) sorted by `encode.ORDER`, all of a user together.
        plan: the same for every task.
    """
    tally, result = BuildCounts(), TaskResult()
    quarantine: list[pa.Table] = []
    rows = _rows(batches, plan, tally, quarantine)
    result.shards = write_shards(plan.root, rows, plan.schema, plan.groups_per_row_group)
    result.used, result.dropped = tally.used, tally.dropped
    result.censored_cuts = tally.censored_cuts
    if quarantine:
        result.quarantine_files = [_write_quarantine(plan.root, quarantine, result.quarantined)]
    return result


def _rows(
    batches: Iterable[pa.RecordBatch],
    plan: BuildPlan,
    tally: BuildCounts,
    quarantine: list[pa.Table],
) -> Iterator[TrackRow]:
    for chunk in whole_users(batches):
        bad = pc.is_valid(chunk["reason"])
        if pc.any(bad).as_py():
            if plan.days_chosen:
                other_day = pc.fill_null(pc.equal(chunk["reason"], OUTSIDE_SPAN), False)
                for kind in chunk.filter(other_day)["kind"].value_counts().to_pylist():
                    tally.drop("other_day", TABLE_OF_KIND[kind["values"]], kind["counts"])
                chunk = chunk.filter(pc.invert(other_day))
                bad = pc.is_valid(chunk["reason"])
            quarantine.append(chunk.filter(bad).select(["kind", "reason", "raw"]))
            chunk = chunk.filter(pc.invert(bad))
        if chunk.num_rows:
            yield from build_tracks(
                chunk, plan.schema, plan.span, plan.cuts_per_day, plan.seed, tally
            )


def whole_users(
    batches: Iterable[pa.RecordBatch], chunk_rows: int = CHUNK_ROWS
) -> Iterator[pa.Table]:
    """Regroup sorted batches into tables that never split a user."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch.cast(RECORD) if batch.schema != RECORD else batch)
        rows += batch.num_rows
        if rows >= chunk_rows:
            table = pa.Table.from_batches(held).combine_chunks()
            last = table["user_id"][-1]
            same = pc.fill_null(pc.equal(table["user_id"], last), not last.is_valid)
            keep = table.num_rows - pc.sum(same).as_py()
            if keep:
                yield table.slice(0, keep)
            held = table.slice(keep).to_batches()
            rows = table.num_rows - keep
            # A user larger than a chunk: wait for twice as much, so that the copies stay linear.
            chunk_rows = max(chunk_rows, 2 * rows)
    if rows:
        yield pa.Table.from_batches(held).combine_chunks()


def _write_quarantine(root: str, parts: list[pa.Table], counts: Counter) -> str:
    table = pa.concat_tables(parts)
    kinds = pa.array([TABLE_OF_KIND[k] for k in table["kind"].to_pylist()], pa.string())
    table = pa.table([kinds, table["reason"], table["raw"]], schema=QUARANTINE_ROW)
    for kind, reason in zip(kinds.to_pylist(), table["reason"].to_pylist(), strict=True):
        counts[f"{kind}/{reason}"] += 1
    temporary = storage.scratch(storage.join(root, QUARANTINE))
    try:
        pq.write_table(table, temporary)
        name = f"{QUARANTINE}/part-{storage.sha256(temporary)[:16]}.parquet"
        storage.publish(temporary, storage.join(root, name))
    finally:
        temporary.unlink(missing_ok=True)
    return name
