"""What must be true of a build before it becomes a dataset, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from intent.config import SamplesConfig
from intent.errors import IntentError, UsageError
from intent.features.tables import EVENT_TABLES, RECEIVED
from intent.features.vocabulary import Dictionaries
from intent.samples.build import TaskResult
from intent.schema import Schema


def frozen_dictionaries(place: str | Path, schema: Schema) -> Dictionaries:
    """Dictionaries that were made before; UsageError where they are not for these tables."""
    dictionaries = Dictionaries.load(place)
    missing = [k for k in Dictionaries.keys(schema) if k not in dictionaries.vocabularies]
    if missing:
        raise UsageError(
            f"{place} has no names for {', '.join(missing)}: it is of logs with fewer tables; "
            "give the dictionaries of logs like these"
        )
    return dictionaries


def check_received(
    received: Collection[str], tables_given: Collection[str], settings: SamplesConfig
) -> None:
    """UsageError where a setting needs times of receipt that the logs do not have."""
    wanted = {"late_after_minutes": settings.late_after_minutes is not None}
    wanted["out_of_order"] = settings.out_of_order == "drop"
    for setting, needs in wanted.items():
        lacking = [name for name in tables_given if name in EVENT_TABLES and name not in received]
        if needs and lacking:
            raise UsageError(
                f"samples.{setting} needs the time at which an event was received: table "
                f"{lacking[0]} has no column {RECEIVED!r}"
            )


def check_counts(rows: Mapping[str, int], result: TaskResult, settings: SamplesConfig) -> None:
    """Every row is accounted for, and not too many are unusable; else IntentError."""
    for table, total in rows.items():
        bad = {k: n for k, n in result.quarantined.items() if k.startswith(f"{table}/")}
        dropped = sum(n for k, n in result.dropped.items() if k.startswith(f"{table}/"))
        known = result.used[table] + sum(bad.values()) + dropped
        if known != total:
            raise IntentError(
                f"table {table} has {total:,} rows but {known:,} are accounted for; were files "
                "added or removed while the job ran? Run it again"
            )
        if sum(bad.values()) > settings.max_quarantine_share * total:
            reasons = ", ".join(f"{k.split('/')[1]} {n:,}" for k, n in sorted(bad.items()))
            raise IntentError(
                f"{sum(bad.values()):,} of {total:,} rows of table {table} are unusable "
                f"({reasons}), more than samples.max_quarantine_share = "
                f"{settings.max_quarantine_share:g}; mend the logs or raise the limit"
            )


def no_group(result: TaskResult, schema: Schema, settings: SamplesConfig) -> IntentError:
    """Why there is not a single group."""
    counts = ", ".join(f"{name} {n:,}" for name, n in sorted(result.counted.items()))
    hours = max(t.horizon_ms for t in schema.tasks) // 3_600_000
    return IntentError(
        f"no group could be made ({counts or 'no action in the chosen days'}): a cut needs logs "
        f"that go on for {hours} h after it, and samples.min_actions = {settings.min_actions}; "
        "give logs of at least two days"
    )
