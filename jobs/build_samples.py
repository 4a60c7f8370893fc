"""Raw logs to sample groups: `intent samples`, or `spark-submit jobs/build_samples.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent import __version__
from intent.errors import UsageError
from jobs.samples_commands import app, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from intent.config import SamplesConfig
    from intent.features.log_files import LogFile
    from intent.samples.manifest import Manifest
    from intent.schema import Schema


@app.callback(invoke_without_command=True)
def build_command(
    context: typer.Context,
    logs: Annotated[
        list[str] | None,
        typer.Option(help="folder with the raw tables; a path, URL or glob, repeatable"),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="folder of the samples to write, a path or URL")
    ] = None,
    layout: Annotated[
        str, typer.Option(help="tracks, or groups: one padded row a group")
    ] = "tracks",
    add: Annotated[
        str | None,
        typer.Option(help="DAY or FIRST..LAST: build these days into the samples at OUT"),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with a samples: section")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="samples.KEY=VALUE, repeatable")] = [],  # noqa: B006  typer reads it
    dictionaries: Annotated[
        str | None, typer.Option(help="use this dictionaries-*.json, count no names")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="cores of local Spark (default: all)")
    ] = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, help="tasks that write shards (default: from the rows)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one line of JSON on stdout")] = False,
) -> None:
    """Build samples: `intent samples --logs LOGS --out SAMPLES`."""
    if context.invoked_subcommand:
        return
    from intent.config import load_config

    if not logs or out is None:
        raise UsageError("intent samples needs --logs LOGS and --out SAMPLES; see --help")
    settings = load_config(config, set_).samples
    manifest = build_samples(logs, out, settings, layout, dictionaries, cores, partitions, add)
    show(manifest, out, as_json)


def build_samples(
    logs: str | Path | Sequence[str | Path],
    out: str | Path,
    settings: SamplesConfig,
    layout: str = "tracks",
    frozen: str | Path | None = None,
    cores: int | None = None,
    partitions: int | None = None,
    add: str | None = None,
) -> Manifest:
    """Build the dataset `out` from the raw tables in `logs`; see the command's help.

    On any error `out` holds what it held before.
    """
    from intent import storage
    from intent.features.log_files import find_tables
    from intent.samples import manifest as manifests
    from intent.samples.convert import write_groups
    from intent.samples.days import check_joins, like, parse_days
    from intent.samples.orphans import writing_to
    from intent.samples.quarantine import QUARANTINE

    if layout not in ("tracks", "groups"):
        raise UsageError(f"--layout is tracks or groups, not {layout!r}")
    days = None if add is None else parse_days(add)
    if days is not None:
        if layout != "tracks":
            raise UsageError("--add builds days into tracks; leave --layout out, and convert after")
        manifests.load(out)  # there must be something to add to
    files = find_tables(logs)
    with writing_to(out) as root:
        old = None
        if days is not None:
            old = manifests.load(root)
            settings = like(old, settings)
            settings = settings.model_copy(update={"first_day": days[0], "last_day": days[1]})
            check_joins(old, settings, str(out))
            frozen = _same_dictionaries(old, str(out), frozen)
        if layout == "tracks":
            manifest = _build_tracks(files, logs, root, settings, frozen, cores, partitions, old)
        else:
            tracks = storage.join(root, ".tracks")
            _build_tracks(files, logs, tracks, settings, frozen, cores, partitions)
            manifest = write_groups(tracks, root)
    if days is not None:
        _tell_missing(days, manifest)
    if manifest.quarantined:
        place = storage.join(out, QUARANTINE)
        typer.echo(f"unusable rows are in {place}, with their reasons", err=True)
    return manifest


def _same_dictionaries(old: Manifest, out: str, frozen: str | Path | None) -> str:
    """The file of the dataset's own dictionaries: added days must have the same ids."""
    from intent import storage
    from intent.features.vocabulary import Dictionaries
    from intent.samples.manifest import dictionaries_name

    if frozen is not None and Dictionaries.load(frozen).hash() != old.dictionary_hash:
        raise UsageError(
            f"{frozen} are not the dictionaries of {out}; added days take its own: leave "
            "--dictionaries out"
        )
    return storage.join(out, dictionaries_name(old.dictionary_hash))


def _build_tracks(
    files: Mapping[str, list[LogFile]],
    logs: str | Path | Sequence[str | Path],
    root: str,
    settings: SamplesConfig,
    frozen: str | Path | None,
    cores: int | None,
    partitions: int | None,
    old: Manifest | None = None,
) -> Manifest:
    from cluster.spark import readable_errors, session
    from cluster.spark_conf import split_bytes
    from cluster.spark_samples import Reading, build, places, survey
    from intent.features.encode import Limits
    from intent.features.log_files import header, splits
    from intent.features.tables import TABLES
    from intent.features.vocabulary import Dictionaries
    from intent.samples import checks, exclusion
    from intent.samples import days as choosing
    from intent.samples import manifest as manifests
    from intent.samples.build import BuildPlan
    from intent.samples.layout import arrow_schema, unischema
    from intent.samples.store import write_petastorm_metadata

    for name, of_table in files.items():
        header(TABLES[name], of_table)  # complains where a column is missing
    schema = _schema(files, settings)
    exclusion.check(settings.exclude, schema)
    dictionaries = None if frozen is None else checks.frozen_dictionaries(frozen, schema)
    input_bytes = sum(f.size for of_table in files.values() for f in of_table)
    with readable_errors():
        spark = session("intent samples", cores)
        parallel = spark.sparkContext.defaultParallelism
        size = split_bytes(input_bytes, parallel)
        work = [s for name, of_table in files.items() for s in splits(name, of_table, size)]
        found = survey(spark, work, names=dictionaries is None)
        checks.check_received(found.received, files, settings)
        span = found.span()
        days = choosing.chosen_days(span, settings)
        dictionaries = dictionaries or Dictionaries.from_counts(found.names, schema)
        late, horizon = settings.late_after_minutes, max(t.horizon_ms for t in schema.tasks)
        limits = Limits(
            span=span,
            until=days.end + horizon if settings.last_day else None,
            late_ms=late * 60_000 if late else None,
        )
        # By now the executors of a cluster have come, and with them their cores.
        where = places(found.rows.total(), spark.sparkContext.defaultParallelism, partitions)
        hidden = exclusion.resolve(settings.exclude, schema, dictionaries)
        plan = BuildPlan(
            str(root), schema, span, found.browse(), settings, where.buckets, days, hidden
        )
        result = build(spark, Reading(work, dictionaries, limits, where), plan)
    rows = {name: found.rows[name] for name in files}
    checks.check_counts(rows, result, settings)
    if not result.shards:
        raise checks.no_group(result, schema, settings)
    made = manifests.Build(
        days=sorted({shard.day for shard in result.shards}),
        span=(span.start, span.end),
        rows_in=rows,
        used=dict(sorted(result.used.items())),
        quarantined=dict(sorted(result.quarantined.items())),
        dropped=dict(sorted(result.dropped.items())),
        counted=dict(sorted(result.counted.items())),
        quarantine_files=sorted(result.quarantine_files),
        source=_source(logs),
        code_version=__version__,
    )
    manifest = manifests.Manifest(
        layout="tracks",
        schema=schema,
        settings=settings.of_groups(),
        shards=sorted(result.shards, key=lambda shard: shard.path),
        builds=[made],
        dictionary_hash=dictionaries.hash(),
    )
    if old:
        manifest = choosing.join(old, manifest)
    write_petastorm_metadata(root, arrow_schema(schema), unischema(schema), manifest.shards)
    manifests.save(root, manifest, dictionaries)
    return manifest


def _tell_missing(days: tuple[date, date], manifest: Manifest) -> None:
    """Say which of the days asked for have no group."""
    from intent.samples.days import days_between

    missing = [day for day in days_between(*days) if day not in manifest.days]
    if missing:
        typer.echo(f"no group could be made of {', '.join(missing)}", err=True)


def _schema(files: Mapping[str, list[LogFile]], settings: SamplesConfig) -> Schema:
    """The paper's schema, less what the logs do not have."""
    from dataclasses import replace

    from intent.features.tables import EVENT_TABLES
    from intent.schema import PAPER

    sources = [EVENT_TABLES[name] for name in files if name in EVENT_TABLES]
    sources += ["history", *(["profile"] if "profile" in files else [])]
    return replace(PAPER.keep(sources), length=settings.length)


def _source(logs: str | Path | Sequence[str | Path]) -> str:
    """ "simulated shop, parameters HASH" where the logs say so, else the folders' names."""
    import json

    from intent import storage

    folders = [logs] if isinstance(logs, str | Path) else list(logs)
    notes = [storage.join(f, "shop.json") for f in folders]
    if all(storage.local(note) and storage.exists(note) for note in notes):
        hashes = [json.loads(storage.read_text(note))["parameters_hash"] for note in notes]
        return f"simulated shop, parameters {' and '.join(dict.fromkeys(hashes))}"
    return ", ".join(dict.fromkeys(str(f).rstrip("/").split("/")[-1] for f in folders))


if __name__ == "__main__":
    from intent.cli import run

    sys.exit(run(app))
