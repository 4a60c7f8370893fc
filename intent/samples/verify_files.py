"""What is checked of a manifest, and of the files beside it that are no shards."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from intent import storage
from intent.errors import IntentError
from intent.samples import groups, layout
from intent.samples import manifest as manifests
from intent.samples.manifest import Build, Manifest
from intent.samples.scan import open_parquet

# The names are Petastorm's (petastorm.etl.dataset_metadata), which need not be installed here.
UNISCHEMA_KEY = b"dataset-toolkit.unischema.v1"
ROW_GROUPS_KEY = b"dataset-toolkit.num_row_groups_per_file.v1"

MOST_KEPT = 1000


@dataclass
class Check:
    """One thing that was looked at.

    Attributes:
        name: what; scope: how much of it, in words.
        wrong: what is wrong with it, a sentence each; empty: all is well.
    """

    name: str
    scope: str = ""
    wrong: list[str] = field(default_factory=list)

    def add(self, *sentences: str) -> None:
        """Note what is wrong; after `MOST_KEPT` sentences no more is kept."""
        self.wrong += sentences[: MOST_KEPT - len(self.wrong)]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


def own_sums(root: str, manifest: Manifest) -> Check:
    """The sums and rates that the manifest states are those of its shards."""
    stated = json.loads(storage.read_text(storage.join(root, manifests.NAME)))
    check = Check("manifest", f"layout {manifest.layout}, {len(manifest.shards):,} shards")
    expected = manifest.to_dict()
    for name in ("groups", "rows", "content_hash", "schema_hash", "label_rates"):
        if stated.get(name) != expected[name]:
            check.add(f"says {name} {stated.get(name)}, its shards say {expected[name]}")
    for shard in manifest.shards:
        if sum(shard.row_groups) != shard.groups:
            check.add(
                f"{shard.path}: row groups hold {sum(shard.row_groups):,} groups, not "
                f"{shard.groups:,}"
            )
        if len(shard.negatives) != len(shard.row_groups):
            check.add(
                f"{shard.path}: counts negatives of {len(shard.negatives)} row groups, not of "
                f"{len(shard.row_groups)}"
            )
    for path, times in Counter(s.path for s in manifest.shards).items():
        if times > 1:
            check.add(f"{path} is named {times} times")
    return check


def accounts(manifest: Manifest) -> Check:
    """For every build and table: rows in = used + quarantined + dropped."""
    check = Check("rows of the logs", f"{sum(manifest.rows_in.values()):,} in")
    for build in manifest.builds:
        where = f"build of {build.days[0]} to {build.days[-1]}" if build.days else "build"
        tables = {*build.rows_in, *build.used}
        tables |= {key.split("/")[0] for key in (*build.quarantined, *build.dropped)}
        for table in sorted(tables):
            bad, gone = (
                sum(n for key, n in counts.items() if key.split("/")[0] == table)
                for counts in (build.quarantined, build.dropped)
            )
            used, total = build.used.get(table, 0), build.rows_in.get(table, 0)
            if used + bad + gone != total or min(used, bad, gone) < 0:
                check.add(
                    f"{where}: {table} has {total:,} rows in, but {used:,} used + {bad:,} "
                    f"quarantined + {gone:,} dropped = {used + bad + gone:,}"
                )
    return check


def days(manifest: Manifest) -> Check:
    """The days of the builds are those of the shards, and no two builds made the same."""
    built = Counter(day for build in manifest.builds for day in build.days)
    check = Check("days", f"{len(manifest.days)} days, {len(manifest.builds)} builds")
    for day in sorted({*built, *manifest.days}):
        if day not in built:
            check.add(f"{day} has shards but no build made it")
        elif day not in manifest.days:
            check.add(f"{day} was built but has no shard")
        elif built[day] > 1:
            check.add(f"{day} is said to be of {built[day]} builds")
    return check


def dictionaries(root: str, manifest: Manifest) -> Check:
    check = Check("dictionaries", f"hash {manifest.dictionary_hash}")
    try:
        found = manifests.load_dictionaries(root, manifest)
    except IntentError as error:
        check.add(str(error))
        return check
    for key, size in found.keys(manifest.schema).items():
        if key not in found.vocabularies:
            check.add(f"there is none for {key}")
        elif len(found[key].names) > size:
            check.add(f"{key} has {len(found[key].names):,} names, Table 3 allows {size:,}")
    return check


def petastorm(root: str, manifest: Manifest) -> Check:
    """Any Petastorm reader can open the dataset."""
    check = Check("petastorm metadata", "Unischema, columns, row groups")
    try:
        raw = storage.read_bytes(storage.join(root, "_common_metadata"))
        arrow = pq.read_schema(io.BytesIO(raw))
    except (OSError, ValueError) as error:
        check.add(_unreadable("_common_metadata", error))
        return check
    form = groups if manifest.layout == "groups" else layout
    if arrow.names != form.arrow_schema(manifest.schema).names:
        check.add(f"its columns are {', '.join(arrow.names)}")
    metadata = arrow.metadata or {}
    if UNISCHEMA_KEY not in metadata:
        check.add("holds no Unischema")
    counts = json.loads(metadata.get(ROW_GROUPS_KEY, b"{}"))
    for shard in manifest.shards:
        if counts.get(shard.path) != len(shard.row_groups):
            check.add(
                f"says {counts.get(shard.path)} row groups of {shard.path}, which has "
                f"{len(shard.row_groups)}"
            )
    return check


def quarantine(root: str, manifest: Manifest) -> Check:
    """The unusable rows are all there, each with the reason that the manifest counts."""
    total = sum(manifest.quarantined.values())
    check = Check("quarantine", f"{total:,} rows in {len(manifest.quarantine_files):,} files")
    for build in manifest.builds:
        found = _quarantined(root, build, check)
        for key in sorted({*found, *build.quarantined}):
            if found[key] != build.quarantined.get(key, 0):
                check.add(
                    f"{key}: {found[key]:,} rows are there, the manifest counts "
                    f"{build.quarantined.get(key, 0):,}"
                )
    return check


def _quarantined(root: str, build: Build, check: Check) -> Counter:
    """Rows by "table/reason" in the quarantine of a build; what cannot be read is noted."""
    found: Counter = Counter()
    for name in build.quarantine_files:
        try:
            with open_parquet(storage.join(root, name)) as file:
                for batch in file.iter_batches(columns=["table", "reason"]):
                    found.update("/".join(row.values()) for row in batch.to_pylist())
        except (OSError, ValueError, IntentError) as error:
            check.add(_unreadable(name, error))
    return found


def _unreadable(name: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name} is missing"
    return f"{name} cannot be read ({' '.join(str(error).split())})"
