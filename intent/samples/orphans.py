"""Writing to a sample folder: one job at a time, and nothing left that no manifest names."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intent.errors import UsageError
from intent.samples import manifest as manifests

MARKER = ".intent-samples"  # says that a folder is ours, finished or not; locked while written to


@contextmanager
def writing_to(root: str | Path) -> Iterator[Path]:
    """Have the sample folder `root` to oneself for the block, and leave it tidy.

    The folder is made if need be. At the end, in success and in failure, files that its manifest
    does not name are removed; without a manifest, the whole folder.

    Raises UsageError if `root` holds anything but samples, or another job is writing to it.
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; samples need a folder")
    if root.is_dir() and any(root.iterdir()) and not (root / MARKER).exists():
        raise UsageError(
            f"{root} is not empty and holds no samples; give --out a new or an empty folder"
        )
    root.mkdir(parents=True, exist_ok=True)
    with open(root / MARKER, "a") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"another job is writing to {root}; wait for its end or give another --out"
            ) from None
        try:
            yield root
        finally:
            if root.exists():
                remove_orphans(root)


def remove_orphans(root: Path) -> list[Path]:
    """Remove every file that the manifest does not name; without a manifest, the whole folder.

    To be called inside `writing_to`. Returns the removed files.
    """
    if not (root / manifests.NAME).exists():
        removed = [p for p in root.rglob("*") if p.is_file()]
        shutil.rmtree(root)
        return removed
    manifest = manifests.load(root)
    named = {MARKER, manifests.NAME, manifests.dictionaries_name(manifest.dictionary_hash)}
    named |= {"_common_metadata"} | {s.path for s in manifest.shards}
    named |= set(manifest.quarantine_files)
    files = [p for p in root.rglob("*") if p.is_file()]
    removed = [path for path in files if str(path.relative_to(root)) not in named]
    for path in removed:
        path.unlink(missing_ok=True)
    folders = sorted((p for p in root.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts))
    for folder in folders:
        if not any(folder.iterdir()):
            folder.rmdir()
    return removed


def clean(root: str | Path) -> list[Path]:
    """Remove what killed jobs left in a sample folder; returns the removed files."""
    root = Path(root)
    if not (root / MARKER).exists():
        raise UsageError(f"{root} is no folder of samples: it has no {MARKER}")
    with writing_to(root):
        return remove_orphans(root)
