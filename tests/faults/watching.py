"""A reader that looks at a sample folder again and again while jobs write to it and are killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from intent.errors import IntentError
from intent.samples import manifest as manifests
from intent.samples.shard_files import check_files

PAUSE_S = 0.05


@dataclass
class Seen:
    """What a watcher saw: the datasets, in order and by their manifest's bytes, and what was wrong.

    None stands for no dataset.
    """

    datasets: list[bytes | None] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    looks: int = 0


def look(root: Path) -> bytes | None:
    """The manifest of the whole and sound dataset at `root`; None where there is none.

    A reader that finds its files gone looks whether there is a newer dataset: then that is read.
    Raises IntentError where the dataset is not whole.
    """
    while (found := _manifest(root)) is not None:
        try:
            manifest = manifests.load(root)
            check_files(root, manifest)
            manifests.load_dictionaries(root, manifest)
        except (IntentError, OSError) as error:
            if _manifest(root) == found:
                raise IntentError(f"half a dataset: {error}") from error
            continue
        return found
    return None


@contextmanager
def watching(root: Path) -> Iterator[Seen]:
    """Look at `root` all the time during the block, in a thread of its own."""
    seen, over = Seen(), threading.Event()

    def run() -> None:
        while not over.wait(PAUSE_S):
            _look_once(root, seen)
        _look_once(root, seen)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _look_once(root: Path, seen: Seen) -> None:
    try:
        found = look(root)
    except Exception as error:  # whatever it is, a reader would have met it
        seen.wrong.append(f"{type(error).__name__}: {error}")
    else:
        if not seen.datasets or seen.datasets[-1] != found:
            seen.datasets.append(found)
    seen.looks += 1


def _manifest(root: Path) -> bytes | None:
    try:
        return (root / manifests.NAME).read_bytes()
    except FileNotFoundError:
        return None
