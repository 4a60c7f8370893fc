"""One writer at a time on an object store, which has no locks: an object that says who writes.

It is made by a put that fails where the object exists, and written again every half a minute; the
lease of a job that was killed lapses after five minutes without that. All times are the store's, so
no clock of ours needs to be right.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from intent import storage
from intent.errors import IntentError, UsageError

LEASE = ".intent-samples.writing"
BEAT_S = 30
LAPSE_S = 300


class Held(str):
    """The place of a dataset that one has to oneself, as any process may name it."""

    def __new__(cls, place: str, still_ours: Callable[[], bool]) -> Held:
        held = super().__new__(cls, place)
        held.still_ours = still_ours
        return held

    def check(self) -> None:
        """IntentError if it is no longer ours: a job that was halted for long has lost it."""
        if not self.still_ours():
            raise IntentError(
                f"this job stood still for so long that another may be writing to {self} now; "
                "nothing was changed: start it again"
            )


@contextmanager
def lease(root: str, now: datetime) -> Iterator[Callable[[], bool]]:
    """Be the only one who writes to the dataset at the URL `root`; UsageError if somebody is.

    Gives a function that says whether the lease is still held: a job that was halted for longer
    than it lasts has lost it.

    Args:
        now: the store's time.
    """
    place = storage.join(root, LEASE)
    holder = {"host": socket.gethostname(), "process": os.getpid(), "token": os.urandom(8).hex()}
    mine = json.dumps(holder)
    _take(root, place, mine, now)

    def held() -> bool:
        with suppress(IntentError, FileNotFoundError):
            return storage.read_text(place) == mine
        return False

    over = threading.Event()
    beat = threading.Thread(target=_keep, args=(place, mine, held, over), daemon=True, name="lease")
    beat.start()
    try:
        yield held
    finally:
        over.set()
        beat.join()
        if held():
            storage.remove(root, [LEASE])


def _take(root: str, place: str, mine: str, now: datetime) -> None:
    if storage.create(place, mine):
        return
    try:
        age = (now - storage.modified(place)).total_seconds()
        holder = json.loads(storage.read_text(place))
    except FileNotFoundError:  # it ended just now
        age, holder = LAPSE_S, {}
    if age >= LAPSE_S:
        with suppress(FileNotFoundError):
            if json.loads(storage.read_text(place)) == holder:  # nobody was faster
                storage.remove(root, [LEASE])
        if storage.create(place, mine):
            return
    raise UsageError(
        f"another job (process {holder.get('process')} on {holder.get('host')}) is writing to "
        f"{root}, or was killed {max(age, 0):.0f} s ago: wait for its end, or {LAPSE_S} s after a "
        "kill, or give another --out"
    )


def _keep(place: str, mine: str, held: Callable[[], bool], over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with suppress(IntentError, FileNotFoundError):  # the next beat may come through
            if held():
                storage.write_atomically(place, mine)
