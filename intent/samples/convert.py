"""A dataset written again in the other layout: tracks as padded groups, padded groups as tracks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from intent import storage
from intent.errors import UsageError
from intent.progress import progress
from intent.samples import groups, layout, regroup
from intent.samples import manifest as manifests
from intent.samples.manifest import Manifest, Shard
from intent.samples.orphans import writing_to
from intent.samples.rowgroups import read_row_groups
from intent.samples.shard_files import check_files
from intent.samples.store import write_petastorm_metadata, write_shards
from intent.samples.units import needed_columns, read_unit


def convert(samples: str | Path, out: str | Path) -> Manifest:
    """Write the dataset `samples` to `out` in the layout that it does not have.

    Shard by shard and row group by row group, so memory stays flat. There and back again gives the
    same content hash, from either layout. Returns the new manifest.

    Raises UsageError where `out` is `samples` itself.
    """
    if _same(samples, out):
        raise UsageError(f"{out} is the dataset to convert; give another --out")
    with writing_to(out) as out:
        tracks = manifests.load(samples).layout == "tracks"
        return (write_groups if tracks else write_tracks)(str(samples), out)


def _same(one: str | Path, other: str | Path) -> bool:
    paths = [storage.local(place) for place in (one, other)]
    if None in paths:
        return storage.absolute(one) == storage.absolute(other)
    return paths[0].resolve() == paths[1].resolve()


def write_groups(samples: str, out: str) -> Manifest:
    """The tracks dataset `samples` as groups, for whoever has `out` to himself already."""
    manifest = manifests.load(samples)
    schema = manifest.schema

    def padded(shard: Shard) -> list[Shard]:
        tables = read_shard(samples, shard, needed_columns(schema))
        units = (read_unit(table, schema, schema) for table in tables)
        return [groups.write_shard(out, shard.day, units, schema)]

    return _rewrite(samples, out, manifest, "groups", padded, groups)


def write_tracks(samples: str, out: str) -> Manifest:
    """The groups dataset `samples` as tracks, for whoever has `out` to himself already."""
    manifest = manifests.load(samples)
    schema = manifest.schema

    def packed(shard: Shard) -> list[Shard]:
        tables = read_shard(samples, shard, regroup.needed_columns(schema))
        rows = regroup.track_rows((regroup.read_groups(t, schema) for t in tables), schema)
        return write_shards(out, rows, schema, manifest.settings["groups_per_row_group"])

    return _rewrite(samples, out, manifest, "tracks", packed, layout)


def read_shard(samples: str, shard: Shard, columns: list[str]) -> Iterator[pa.Table]:
    """The row groups of a shard, one after the other."""
    items = [(shard.path, i) for i in range(len(shard.row_groups))]
    return read_row_groups(samples, items, columns, workers=1, prefetch=1)


def _rewrite(samples: str, out: str, manifest: Manifest, name: str, write, form) -> Manifest:
    """Write every shard anew by `write(shard)`, and all that belongs to a dataset.

    `form` is the module that knows the new layout's columns.
    """
    check_files(samples, manifest)
    dictionaries = manifests.load_dictionaries(samples, manifest)
    shards: list[Shard] = []
    with progress("converting", total=manifest.groups, unit="groups") as bar:
        for shard in manifest.shards:
            shards += write(shard)
            bar.advance(shard.groups)
    for file in manifest.quarantine_files:  # the account of the rows goes along
        storage.copy(storage.join(samples, file), storage.join(out, file))
    shards.sort(key=lambda shard: shard.path)
    schema = manifest.schema
    write_petastorm_metadata(out, form.arrow_schema(schema), form.unischema(schema), shards)
    converted = replace(manifest, layout=name, shards=shards)
    manifests.save(out, converted, dictionaries)
    return converted
