"""A tracks dataset written again in the layout "groups"."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from intent.errors import UsageError
from intent.progress import progress
from intent.samples import groups
from intent.samples import manifest as manifests
from intent.samples.manifest import Manifest
from intent.samples.orphans import writing_to
from intent.samples.rowgroups import read_row_groups
from intent.samples.store import write_petastorm_metadata
from intent.samples.units import needed_columns, read_unit


def convert(samples: str | Path, out: str | Path) -> Manifest:
    """Write the groups of the tracks dataset `samples` to `out`, one padded row each.

    Day by day and row group by row group, so memory stays flat. Returns the new manifest.
    """
    with writing_to(out):
        return write_groups(Path(samples), Path(out))


def write_groups(samples: Path, out: Path) -> Manifest:
    """`convert`, for whoever has `out` to himself already."""
    manifest = manifests.load(samples)
    if manifest.layout != "tracks":
        raise UsageError(f"{samples} has the layout {manifest.layout!r}; convert reads tracks")
    manifests.check_files(samples, manifest)
    dictionaries = manifests.load_dictionaries(samples, manifest)
    shards = []
    with progress("converting", total=manifest.groups, unit="groups") as bar:
        for shard in manifest.shards:
            items = [(shard.path, i) for i in range(len(shard.row_groups))]
            columns = needed_columns(manifest.schema)
            tables = read_row_groups(str(samples), items, columns, workers=1, prefetch=1)
            units = (read_unit(t, manifest.schema, manifest.schema) for t in tables)
            shards.append(groups.write_shard(out, shard.day, units, manifest.schema))
            bar.advance(shard.groups)
    for name in manifest.quarantine_files:  # the account of the rows goes along
        (out / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(samples / name, out / name)
    converted = replace(manifest, layout="groups", shards=shards)
    write_petastorm_metadata(
        out, groups.arrow_schema(manifest.schema), groups.unischema(manifest.schema), shards
    )
    manifests.save(out, converted, dictionaries)
    return converted
