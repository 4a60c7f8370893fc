"""Ctrl-C and SIGTERM as a request to stop after this step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from intent.errors import IntentError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(IntentError):
    """Training stopped because it was asked to; its checkpoint is written."""


class StopRequest:
    """A block in which the first signal only sets `name`.

    A second Ctrl-C acts as it always does, for a person in a hurry. A second SIGTERM changes
    nothing: a process whose launcher dies may get several, and who means it sends SIGKILL. Outside
    the main thread, where Python delivers no signals, the block changes nothing.
    """

    def __init__(self) -> None:
        self.name = ""
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, _: FrameType | None) -> None:
        self.name = self.name or signal.Signals(number).name
        if signal.SIGINT in self._before:
            signal.signal(signal.SIGINT, self._before.pop(signal.SIGINT))
