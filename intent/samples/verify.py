"""Checks everything that can be checked of a sample dataset, and collects all that is wrong.

First what the manifest says of itself and of the files beside it, then every row: one row group is
held at a time, and 8 bytes a user of the day at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pandas as pd

from intent import storage
from intent.errors import IntentError
from intent.progress import progress
from intent.samples import manifest as manifests
from intent.samples import verify_files, verify_rows
from intent.samples.exclusion import NOTHING, Exclusion, resolve
from intent.samples.manifest import Manifest, Shard
from intent.samples.scan import Tally, read_parts
from intent.samples.verify_files import Check

MOST_SHOWN = 5  # sentences of a check on the terminal


def verify(root: str) -> list[Check]:
    """Check the dataset at `root`, a folder or a URL.

    Everything is looked at, whatever was found before; what cannot be looked at is wrong.

    Raises:
        IntentError: there is no manifest, or none that can be read; nothing else can be said then.
    """
    root = str(root)
    manifest = manifests.load(root)
    return [
        verify_files.own_sums(root, manifest),
        verify_files.accounts(manifest),
        verify_files.days(manifest),
        verify_files.dictionaries(root, manifest),
        verify_files.petastorm(root, manifest),
        verify_files.quarantine(root, manifest),
        *_shards(root, manifest),
    ]


def _shards(root: str, manifest: Manifest) -> list[Check]:
    """All that is said of shards and of the groups in them."""
    size = sum(s.size for s in manifest.shards) / 2**20
    files = Check("shards", f"{len(manifest.shards):,} files, {size:,.1f} MiB: there, checksums")
    counts = Check("counts", f"{manifest.rows:,} rows, {manifest.groups:,} groups, label rates")
    content = Check("content hash", manifest.content_hash())
    once = Check("users", "each user's day once")
    of_rows = {name: Check(name, scope) for name, scope in verify_rows.SCOPES.items()}
    by_day = groupby(sorted(manifest.shards, key=lambda s: s.day), key=lambda s: s.day)
    unread, exclusion = 0, _hidden(root, manifest)
    with progress("verifying", total=max(manifest.groups, 1), unit="groups") as bar:
        for day, shards in by_day:
            users: list[np.ndarray] = []
            for shard in shards:
                tally, positives = Tally(), np.zeros(len(manifest.schema.tasks), np.int64)
                wrong = list(_file(root, shard))
                try:
                    for part in read_parts(root, manifest, shard, tally):
                        positives += part.unit.labels.sum(axis=0, dtype=np.int64)
                        users.append(pd.util.hash_array(part.users, categorize=False))
                        found = verify_rows.check_part(part, manifest, day, exclusion)
                        for name, sentence in found:
                            of_rows[name].add(f"{shard.path}: {sentence}")
                        bar.advance(part.unit.groups)
                except IntentError as error:
                    unread += 1
                    files.add(*(wrong or [str(error).replace(f"{root.rstrip('/')}/", "")]))
                    continue
                files.add(*wrong)
                counts.add(*_counts(manifest, shard, tally, positives))
                if tally.content_hash != shard.content:
                    there = f"its rows give {tally.content_hash}, the manifest says {shard.content}"
                    content.add(f"{shard.path}: {there}")
            day_users = np.concatenate(users) if users else np.zeros(0)
            if twice := len(day_users) - len(np.unique(day_users)):
                once.add(f"{day}: {twice:,} rows of users who have one already")
    if unread:
        counts.add(f"{unread:,} of {len(manifest.shards):,} shards cannot be read")
        for check in (content, once, *of_rows.values()):
            check.scope += ", where shards can be read"
    return [files, counts, content, once, *of_rows.values()]


def _hidden(root: str, manifest: Manifest) -> Exclusion:
    """What no window may show; nothing where the dictionaries cannot tell, as their check says."""
    try:
        dictionaries = manifests.load_dictionaries(root, manifest)
        return resolve(manifest.settings.get("exclude", ()), manifest.schema, dictionaries)
    except IntentError:
        return NOTHING


def _file(root: str, shard: Shard) -> Iterator[str]:
    """Whether the file is as it was written."""
    place = storage.join(root, shard.path)
    try:
        if storage.sha256(place) != shard.sha256:
            yield f"{shard.path}: its checksum is not the manifest's; it was altered or cut short"
    except FileNotFoundError:
        yield f"{shard.path} is missing"
    except (OSError, IntentError) as error:
        yield f"{shard.path} cannot be read ({error})"


def _counts(manifest: Manifest, shard: Shard, tally: Tally, positives: np.ndarray) -> Iterator[str]:
    """Whether the rows are as many, and as many of them positive, as the manifest says."""
    tasks = [t.name for t in manifest.schema.tasks]
    for name, there, said in (
        ("rows", tally.rows, shard.rows),
        ("groups", sum(tally.row_groups), shard.groups),
        ("groups a row group", tally.row_groups, shard.row_groups),
        ("negatives a row group", tally.negatives, shard.negatives),
        ("positives", dict(zip(tasks, positives.tolist(), strict=True)), shard.positives),
    ):
        if there != said:
            yield f"{shard.path}: {name} {there}, the manifest says {said}"


def summary(found: list[Check]) -> dict:
    """What was checked, for a script."""
    checks = [{"name": c.name, "looked_at": c.scope, "ok": c.ok, "wrong": c.wrong} for c in found]
    return {"ok": all(c.ok for c in found), "checks": checks}


def table(found: list[Check]) -> None:
    """Print what was checked, with a tick or with what is wrong."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = Table(show_edge=False, title_justify="left")
    for heading in ("", "check", "what was looked at"):
        rows.add_column(heading)
    for check in found:
        cell = Text(check.scope)
        for sentence in check.wrong[:MOST_SHOWN]:
            cell.append(f"\n{sentence}", "red")
        if more := len(check.wrong) - MOST_SHOWN:
            cell.append(f"\nand {more:,} more, see --json" if more > 0 else "", "red")
        mark = Text("✓", "green") if check.ok else Text("✗", "bold red")
        rows.add_row(mark, check.name, cell)
    Console().print(rows)
