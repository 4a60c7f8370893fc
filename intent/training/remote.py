"""The folder of a run on an object store, kept like a local one while the run goes on.

An object store has no rename, so a checkpoint is there once its `checkpoint.json` is, which is
uploaded last and says by a checksum what the arrays must be; one is taken away in the other order.
`metrics.jsonl` goes up before that file: records that are ahead of the checkpoint are dropped when
a run goes on from it, records that are missing would stay missing. So a process may be killed
between any two objects.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil

from intent import storage
from intent.errors import IntentError, UsageError
from intent.training import checkpoint
from intent.training.checkpoint import ARRAYS, BEST, FACTS

log = logging.getLogger(__name__)
T = TypeVar("T")
CHECKPOINTS, METRICS, CONFIG = "checkpoints", "metrics.jsonl", "config.yaml"
RECORDS = {".yaml", ".json", ".jsonl", ".txt"}  # what a run notes; the rest is results
WAITS = (1.0, 4.0)  # seconds before another try
SOON = 30.0  # seconds between two uploads of metrics
_to_remove: set[Path] = set()  # folders of this process, at its end


class Mirror:
    """A local folder that is like the run folder at `url`, as far as this process needs it.

    One process writes to a place at a time: rank 0. The folder is new for each process, so nothing
    old can be taken for the truth; those of processes that are gone are removed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.names: set[str] = set()  # of the objects there, when last listed
        self.folder = _new_folder(self.url)
        self._known: dict[str, tuple[int, int]] = {}  # name -> size and time of what is there
        self._newest = ""  # checkpoint that this process wrote
        self._tried = 0.0  # when metrics went up last

    def list(self) -> set[str]:
        """The names of all objects there."""
        self.names = set(self._try("list", lambda: storage.files(self.url)))
        return self.names

    def fetch(self, names: Iterable[str]) -> None:
        """Download these objects, to the same names in the folder."""
        for name in names:
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            self._try(f"read {name}", partial(_get, storage.join(self.url, name), target))
            self._known[name] = _look(target)

    def fetch_run(self) -> None:
        """Download what going on needs: records, the newest sound checkpoint and the best one.

        Where this process has written there last, and nobody since, the folder is kept as it is:
        it may have records that are not there yet.
        """
        if self._known and self._is_ours():
            return
        self._known.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        names = self.list()
        records = [n for n in names if "/" not in n and Path(n).suffix in RECORDS]
        best = f"{CHECKPOINTS}/{BEST}"
        self.fetch(sorted(records) + [best] * (best in names))
        known = checkpoint.best(self.folder / CHECKPOINTS)
        if known and known[0].name in self._steps():
            self._fetch_checkpoint(known[0].name)
        steps = sorted(self._steps(), reverse=True)
        if steps and not any(self._fetch_checkpoint(step) for step in steps):
            raise IntentError(
                f"none of the {len(steps)} checkpoints in {self.url}/{CHECKPOINTS} is whole: "
                "restore them, or delete that folder to train from the start"
            )

    def fetch_results(self, results: Collection[str]) -> None:
        """Download what the run notes and these results, as far as they are there."""
        names = [name for name in self.list() if "/" not in name]
        self.fetch(sorted(n for n in names if n in results or Path(n).suffix in RECORDS))

    def sync(self, keep: int) -> None:
        """Upload what changed here, then remove the checkpoints there that are not to be kept.

        Raises IntentError, after some tries, that says what is safe.
        """
        for step in sorted(self._unsaved()):
            place = f"{CHECKPOINTS}/{step}"
            if f"{place}/{FACTS}" in self.names:  # a run that went back comes by here again
                self._remove([f"{place}/{FACTS}"])
            self._put([f"{place}/{ARRAYS}"] + [METRICS] * (self.folder / METRICS).exists())
            self._put([f"{place}/{FACTS}"])
            self._newest = step
        self._put_rest()
        if not self._newest:
            return  # what is there was not judged by writing behind it
        known = checkpoint.best(self.folder / CHECKPOINTS)
        there = {n.split("/")[1] for n in self.names if n.startswith(f"{CHECKPOINTS}/step-")}
        whole = there & self._steps()
        kept = whole - set(
            checkpoint.surplus(whole, keep, self._newest, known[0].name if known else None)
        )
        gone = [n for n in self.names if n.split("/")[1:2] and n.split("/")[1] in there - kept]
        self._remove([n for n in gone if n.endswith(FACTS)])
        self._remove([n for n in gone if not n.endswith(FACTS)])

    def sync_soon(self) -> None:
        """Upload records now and then; a failure is left for `sync` to tell."""
        if time.monotonic() - self._tried < SOON:
            return
        self._tried = time.monotonic()
        try:
            self._put_rest(tries=1)
        except IntentError as error:
            log.warning("%s; tried again with the next checkpoint", error)

    def push(self, names: Iterable[str]) -> None:
        """Upload these files, or all files below these folders, in this order."""
        for name in names:
            path = self.folder / name
            found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            self._put([p.relative_to(self.folder).as_posix() for p in found])

    def _put_rest(self, tries: int = len(WAITS) + 1) -> None:
        """All files but checkpoints, where they changed; config.yaml last, which makes it a run."""
        files = [p.relative_to(self.folder) for p in self.folder.rglob("*") if p.is_file()]
        names = [f.as_posix() for f in files if not f.name.startswith((".", "draft"))]
        rest = [n for n in names if not n.startswith(f"{CHECKPOINTS}/step-")]
        rest = [n for n in rest if self._known.get(n) != _look(self.folder / n)]
        self._put(sorted(rest, key=lambda n: (n == CONFIG, n)), tries)
        best = f"{CHECKPOINTS}/{BEST}"
        if best in self.names and best not in names:
            self._remove([best])

    def _put(self, names: Iterable[str], tries: int = len(WAITS) + 1) -> None:
        for name in names:
            source, look = self.folder / name, _look(self.folder / name)
            target = storage.join(self.url, name)
            self._try(f"write {name}", partial(_upload, source, target), tries)
            self._known[name] = look
            self.names.add(name)

    def _remove(self, names: list[str]) -> None:
        if names:
            self._try("remove old checkpoints", lambda: storage.remove(self.url, names))
            self.names -= set(names)
            for name in names:
                self._known.pop(name, None)

    def _steps(self) -> set[str]:
        """Names of the checkpoints there that have their last file."""
        begin, end = f"{CHECKPOINTS}/", f"/{FACTS}"
        found = (n for n in self.names if n.startswith(f"{begin}step-") and n.endswith(end))
        return {n.removeprefix(begin).removesuffix(end) for n in found}

    def _is_ours(self) -> bool:
        """Whether what is there is what this process has put there."""
        sizes = self._try("list", lambda: storage.files(self.url))

        def of_note(name: str) -> bool:
            return name == METRICS or name.startswith(f"{CHECKPOINTS}/")

        ours = {name: look[0] for name, look in self._known.items() if of_note(name)}
        theirs = {name: size for name, size in sizes.items() if of_note(name)}
        # Of a resume, only the newest checkpoint and the best one were fetched
        return ours.items() <= theirs.items() and theirs.keys() <= self.names

    def _unsaved(self) -> list[str]:
        """Checkpoints of the folder that are not there, or that are others than there."""
        found = (self.folder / CHECKPOINTS).glob(f"step-*/{FACTS}")
        return [
            path.parent.name
            for path in found
            if self._known.get(path.relative_to(self.folder).as_posix()) != _look(path)
        ]

    def _fetch_checkpoint(self, step: str) -> bool:
        """Download a checkpoint; whether it is whole. A broken one leaves nothing here."""
        place = self.folder / CHECKPOINTS / step
        if (place / FACTS).exists():
            return True
        names = {f"{CHECKPOINTS}/{step}/{name}" for name in (ARRAYS, FACTS)}
        self.fetch(sorted(names & self.names))
        try:
            checkpoint.load(place)
            return True
        except IntentError as error:
            log.warning("%s, as it lies in %s; going back to the one before", error, self.url)
        shutil.rmtree(place)
        for name in names:
            self._known.pop(name, None)
        return False

    def _try(self, what: str, action: Callable[[], T], tries: int = len(WAITS) + 1) -> T:
        for wait in (*WAITS[: tries - 1], None):
            try:
                return action()
            except UsageError:
                raise
            except IntentError as error:
                if wait is None or _is_final(error):
                    raise IntentError(self._told(what, error)) from error
                log.warning("%s; trying again in %g s", error, wait)
                time.sleep(wait)
        raise AssertionError("unreachable")

    def _told(self, what: str, error: IntentError) -> str:
        steps = self._steps()
        safe = f"; the newest whole checkpoint there is {max(steps)}" if steps else ""
        more = bool(self._unsaved())
        here = f"; what is newer lies in {self.folder} until the next start" if more else ""
        if more:
            _to_remove.discard(self.folder)
        return f"cannot {what} in the run folder {self.url}: {error}{safe}{here}"


def _new_folder(url: str) -> Path:
    """An empty folder for a place, known by its name; those of processes that ended are removed."""
    begin = f"intent-run-{hashlib.blake2b(url.encode(), digest_size=6).hexdigest()}-"
    for old in Path(tempfile.gettempdir()).glob(begin + "*"):
        process = old.name.removeprefix(begin).partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{begin}{os.getpid()}-"))
    _to_remove.add(folder)
    return folder


@atexit.register
def _remove_folders() -> None:
    for folder in _to_remove:
        shutil.rmtree(folder, ignore_errors=True)


def _look(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _is_final(error: IntentError) -> bool:
    """Whether trying again is of no use: nobody may write there, or there is no such bucket."""
    cause = error.__cause__
    refused = (PermissionError, FileNotFoundError, ImportError)
    return isinstance(cause, refused) or "Credentials" in type(cause).__name__


def _upload(source: Path, url: str) -> None:
    fs, name = storage.filesystem(url)
    with storage.explained(url):
        fs.put_file(str(source), name)


def _get(url: str, target: Path) -> None:
    fs, name = storage.filesystem(url)
    with storage.explained(url):
        fs.get_file(name, str(target))
