"""Raw logs to sample groups: `intent samples`, or `spark-submit jobs/build_samples.py`."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent.errors import IntentError, UsageError
from intent.features.span import Span
from intent.schema import DAY_MS
from jobs.samples_commands import app, show

if TYPE_CHECKING:
    from intent.config import SamplesConfig
    from intent.samples.build import TaskResult
    from intent.samples.manifest import Manifest
    from intent.schema import Schema


@app.callback(invoke_without_command=True)
def build_command(
    context: typer.Context,
    logs: Annotated[Path | None, typer.Option(help="folder with the raw tables")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the samples to write")] = None,
    layout: Annotated[
        str, typer.Option(help="tracks, or groups: one padded row a group")
    ] = "tracks",
    config: Annotated[Path | None, typer.Option(help="YAML with a samples: section")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="samples.KEY=VALUE, repeatable")] = [],  # noqa: B006  typer reads it
    dictionaries: Annotated[
        Path | None, typer.Option(help="use this dictionaries-*.json, count no names")
    ] = None,
    cores: Annotated[int | None, typer.Option(help="cores of local Spark (default: all)")] = None,
    partitions: Annotated[
        int | None, typer.Option(help="tasks that write shards (default: from the rows)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one line of JSON on stdout")] = False,
) -> None:
    """Build samples: `intent samples --logs LOGS --out SAMPLES`."""
    if context.invoked_subcommand:
        return
    from intent.config import load_config

    if logs is None or out is None:
        raise UsageError("intent samples needs --logs LOGS and --out SAMPLES; see --help")
    if layout not in ("tracks", "groups"):
        raise UsageError(f"--layout is tracks or groups, not {layout!r}")
    settings = load_config(config, set_).samples
    manifest = build_samples(logs, out, settings, layout, dictionaries, cores, partitions)
    show(manifest, out, as_json)


def build_samples(
    logs: Path,
    out: Path,
    settings: SamplesConfig,
    layout: str = "tracks",
    frozen: Path | None = None,
    cores: int | None = None,
    partitions: int | None = None,
) -> Manifest:
    """Build the dataset `out` from the raw tables in `logs`; see the commands' help.

    On any error the folder `out` holds what it held before.
    """
    from intent.features.log_files import find_tables
    from intent.samples.build import QUARANTINE
    from intent.samples.convert import write_groups
    from intent.samples.orphans import writing_to

    files = find_tables(logs)
    with writing_to(out):
        if layout == "tracks":
            manifest = _build_tracks(files, logs, out, settings, frozen, cores, partitions)
        else:
            with tempfile.TemporaryDirectory(dir=out, prefix=".tracks-") as tracks:
                _build_tracks(files, logs, Path(tracks), settings, frozen, cores, partitions)
                manifest = write_groups(Path(tracks), out)
    if manifest.quarantined:
        typer.echo(f"unusable rows are in {out / QUARANTINE}, with their reasons", err=True)
    return manifest


def _build_tracks(
    files: dict[str, list[Path]],
    logs: Path,
    out: Path,
    settings: SamplesConfig,
    frozen: Path | None,
    cores: int | None,
    partitions: int | None,
) -> Manifest:
    from cluster.spark import readable_errors, session
    from cluster.spark_logs import read_table
    from cluster.spark_samples import ROWS, build, survey
    from intent.features.vocabulary import Dictionaries
    from intent.samples import manifest as manifests
    from intent.samples.build import BuildPlan
    from intent.samples.layout import arrow_schema, unischema
    from intent.samples.store import write_petastorm_metadata

    schema = _schema(files, settings.length)
    with readable_errors():
        spark = session("intent samples", cores)
        frames = {name: read_table(spark, name, paths) for name, paths in files.items()}
        found = survey(spark, frames)
        span = _span(found, settings)
        dictionaries = (
            Dictionaries.load(frozen) if frozen else Dictionaries.from_counts(found, schema)
        )
        plan = BuildPlan(
            root=str(out.resolve()),
            schema=schema,
            span=span,
            cuts_per_day=settings.cuts_per_day,
            groups_per_row_group=settings.groups_per_row_group,
            seed=settings.seed,
            days_chosen=bool(settings.first_day or settings.last_day),
        )
        rows = {name: found[f"{ROWS} {name}"][""] for name in files}
        result = build(spark, frames, dictionaries, plan, sum(rows.values()), partitions)
    _check_counts(rows, result, settings)
    if not result.shards:
        raise IntentError(
            f"no cut could be drawn from {logs}: every action is within the longest horizon "
            f"({max(t.horizon_ms for t in schema.tasks) // 3_600_000} h) of the end of the logs; "
            "give logs of at least two days"
        )
    made = manifests.Build(
        days=sorted({shard.day for shard in result.shards}),
        span=(span.start, span.end),
        rows_in=rows,
        used=dict(sorted(result.used.items())),
        quarantined=dict(sorted(result.quarantined.items())),
        dropped=dict(sorted(result.dropped.items())),
        counted={"censored_cuts": result.censored_cuts},
        quarantine_files=sorted(result.quarantine_files),
        source=_source(logs),
        code_version=_code_version(),
    )
    manifest = manifests.Manifest(
        layout="tracks",
        schema=schema,
        settings=settings.of_groups(),
        shards=sorted(result.shards, key=lambda shard: shard.path),
        builds=[made],
        dictionary_hash=dictionaries.hash(),
    )
    write_petastorm_metadata(out, arrow_schema(schema), unischema(schema), manifest.shards)
    manifests.save(out, manifest, dictionaries)
    return manifest


def _schema(files: dict[str, list[Path]], length: int) -> Schema:
    """The paper's schema, less what the logs do not have."""
    from dataclasses import replace

    from intent.features.tables import EVENT_TABLES
    from intent.schema import PAPER

    sources = [EVENT_TABLES[name] for name in files if name in EVENT_TABLES]
    sources += ["history", *(["profile"] if "profile" in files else [])]
    return replace(PAPER.keep(sources), length=length)


def _span(found: dict[str, Counter], settings: SamplesConfig) -> Span:
    """The observed days: what the configuration says, else what the data say."""
    from cluster.spark_samples import span_of

    span, first, last = span_of(found), settings.first_day, settings.last_day
    span = Span(
        start=_start(first) if first else span.start,
        # Choosing a later day does not make anything known that the logs do not hold.
        end=min(span.end, _start(last) + DAY_MS) if last else span.end,
    )
    if span.start >= span.end:
        raise UsageError(f"samples.first_day {first} is after samples.last_day {last}")
    return span


def _start(day: date) -> int:
    """First millisecond of a day, UTC."""
    return (day - date(1970, 1, 1)).days * DAY_MS


def _check_counts(rows: dict[str, int], result: TaskResult, settings: SamplesConfig) -> None:
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


def _source(logs: Path) -> str:
    """ "simulated" where the logs say so of themselves, else the folder's name."""
    return "simulated shop" if (logs / "shop.json").exists() else logs.name


def _code_version() -> str:
    from intent import __version__

    return __version__


if __name__ == "__main__":
    from intent.cli import run

    sys.exit(run(app))
