"""Files in a sample folder that its manifest does not name: they do not exist, and are removed."""

from __future__ import annotations

import shutil
from pathlib import Path

from intent.errors import UsageError
from intent.samples import manifest as manifests

MARKER = ".intent-samples"  # says that a folder is ours, finished or not


def prepare_folder(root: str | Path) -> None:
    """Make `root` a folder that samples may be written to; UsageError if it holds anything else."""
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; samples need a folder")
    ours = (root / MARKER).exists() or (root / manifests.NAME).exists()
    if root.is_dir() and any(root.iterdir()) and not ours:
        raise UsageError(
            f"{root} is not empty and holds no samples; give --out a new or an empty folder"
        )
    root.mkdir(parents=True, exist_ok=True)
    (root / MARKER).touch()


def remove_orphans(root: str | Path) -> list[Path]:
    """Remove every file that the manifest does not name; without a manifest, the whole folder.

    Returns the removed files.
    """
    root = Path(root)
    if not (root / MARKER).exists():
        return []
    if not (root / manifests.NAME).exists():
        removed = [p for p in root.rglob("*") if p.is_file()]
        shutil.rmtree(root)
        return removed
    manifest = manifests.load(root)
    named = {MARKER, manifests.NAME, manifests.dictionaries_name(manifest.dictionary_hash)}
    named |= {"_common_metadata"} | {s.path for s in manifest.shards}
    named |= set(manifest.quarantine_files)
    removed = [
        path
        for path in root.rglob("*")
        if path.is_file() and str(path.relative_to(root)) not in named
    ]
    for path in removed:
        path.unlink(missing_ok=True)
    folders = sorted((p for p in root.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts))
    for folder in folders:
        if not any(folder.iterdir()):
            folder.rmdir()
    return removed
