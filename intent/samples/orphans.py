"""Writing to a sample dataset: one job at a time, and nothing left that no manifest names.

A dataset is replaced while others read it. What the manifest before named and the new one does not
goes to `_replaced`, where a reader that began before still finds it (`rowgroups`, and nobody else:
names that begin with "_" are passed over), until the next build or `intent samples clean`.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from intent import storage
from intent.errors import IntentError, UsageError
from intent.samples import manifest as manifests
from intent.samples.lease import LEASE, Held, lease
from intent.samples.manifest import Manifest

# Every name that a job of ours gives to a file of a dataset, finished or not
OURS = re.compile(
    r"day=[^/]+/(part-[^/]*\.parquet|\.writing-[^/]*)|_quarantine/[^/]*"
    r"|(_replaced|\.tracks[^/]*)/.*|dictionaries-[0-9a-f]+\.json|manifest\.json|_common_metadata"
    r"|\.(manifest|dictionaries|_common_metadata|common)[^/]*|\.writing-[^/]*|\.intent-samples[^/]*"
)
MARKER = ".intent-samples"  # says that a folder is ours, finished or not; locked while written to


@contextmanager
def writing_to(root: str | Path) -> Iterator[Held]:
    """Have the samples at `root` to oneself for the block, and leave them tidy.

    A local folder is made if need be. At the end, in success and in failure, files that the
    manifest does not name are removed, less those that it named at the start (module docstring);
    without a manifest, everything. Gives `root` as a place that any process may use.

    Raises UsageError if `root` holds anything but samples, or another job is writing to it;
    IntentError if it cannot be written to.
    """
    path = storage.local(root)
    with _locked(path) if path is not None else _leased(str(root)) as still_ours:
        before = _readable(root)
        try:
            yield Held(storage.absolute(root), still_ours)
        except BaseException:
            with suppress(Exception):  # what went wrong first is what is told
                if still_ours():
                    tidy(root, before)
            raise
        if still_ours():
            tidy(root, before)


@contextmanager
def _locked(root: Path) -> Iterator[Callable[[], bool]]:
    try:
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is a file; samples need a folder")
        if root.is_dir() and any(root.iterdir()) and not (root / MARKER).exists():
            raise UsageError(_foreign(root))
        root.mkdir(parents=True, exist_ok=True)
        marker = open(root / MARKER, "a")
    except OSError as error:
        raise IntentError(
            f"cannot write to {root}: {(error.strerror or str(error)).lower()}; give another --out"
        ) from error
    with marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"another job is writing to {root}; wait for its end or give another --out"
            ) from None
        yield lambda: True


@contextmanager
def _leased(root: str) -> Iterator[Callable[[], bool]]:
    there = storage.files(root)
    if there and MARKER not in there:
        raise UsageError(_foreign(root))
    try:
        storage.write_atomically(storage.join(root, MARKER), "")
    except FileNotFoundError as error:
        raise IntentError(f"cannot write to {root}: {error}") from error
    with lease(root, storage.modified(storage.join(root, MARKER))) as held:
        yield held


def _foreign(root: str | Path) -> str:
    return f"{root} is not empty and holds no samples; give --out a new or an empty folder"


def _readable(root: str | Path) -> Manifest | None:
    """The manifest; None where there is none, or one that only an older version reads."""
    try:
        return manifests.load(root)
    except IntentError:
        return None


def tidy(root: str | Path, before: Manifest | None) -> None:
    """Remove or set aside what the manifest does not name; `before` is the one it replaced."""
    found = storage.files(root)
    now = _readable(root)
    if now is None and manifests.NAME in found:
        return  # no one can say what belongs to it
    kept = _named(now)
    if before is not None and now is not None and _named(before) - kept:
        # A new dataset: what an even older one had is no longer waited for.
        older = [n for n in found if _is_replaced(n)]
        storage.remove(root, older)
        found = {n: size for n, size in found.items() if n not in set(older)}
        readable = {s.path for s in before.shards} | {_dictionaries(before)}
        for name in sorted(readable & (found.keys() - kept)):
            storage.move(root, name, f"{manifests.REPLACED}/{name}")
            found.pop(name)
    elif now is not None:
        kept |= {n for n in found if _is_replaced(n)}
    _remove(root, found, kept)


def remove_orphans(root: str | Path) -> list[str]:
    """Remove every file that the manifest does not name; without a manifest, all.

    To be called inside `writing_to`. Returns the removed files, named from `root`.
    """
    found = storage.files(root)
    now = manifests.load(root) if manifests.NAME in found else None
    return _remove(root, found, _named(now))


def clean(root: str | Path) -> list[str]:
    """Remove what killed jobs and replaced datasets left at `root`; returns the removed files."""
    if not storage.exists(storage.join(root, MARKER)):
        raise UsageError(f"{root} is no folder of samples: it has no {MARKER}")
    with writing_to(root):
        return remove_orphans(root)


def _is_replaced(name: str) -> bool:
    return name.startswith(f"{manifests.REPLACED}/")


def _dictionaries(manifest: Manifest) -> str:
    return manifests.dictionaries_name(manifest.dictionary_hash)


def _named(manifest: Manifest | None) -> set[str]:
    """Every file of a dataset; of none, only the sign that somebody is writing it."""
    if manifest is None:
        return {LEASE}
    own = {MARKER, LEASE, manifests.NAME, "_common_metadata", _dictionaries(manifest)}
    return own | {s.path for s in manifest.shards} | set(manifest.quarantine_files)


def _remove(root: str | Path, found: dict[str, int], kept: set[str]) -> list[str]:
    """Remove those of `found` that are ours and not `kept`; what others put there stays."""
    removed = sorted(name for name in found.keys() - kept if OURS.fullmatch(name))
    storage.remove(root, removed)
    folder = storage.local(root)
    if folder is not None and folder.is_dir():
        for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
            with suppress(OSError):  # it is not empty
                path.rmdir()
        with suppress(OSError):
            folder.rmdir()
    return removed
