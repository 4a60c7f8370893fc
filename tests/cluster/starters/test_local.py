"""Workers as processes of this machine: nothing stays of them, and nobody else is signalled."""

from __future__ import annotations

import os
import signal

from cluster.starters.local import LocalStarter
from tests.support.held import STAYING, alive, child_of, within

CRASHING = ["sh", "-c", "sleep 1000 & echo child $!; exit 7"]


def test_what_a_worker_started_ends_with_it():
    starter = LocalStarter(own_terminal=False)
    worker = starter.start("here", CRASHING, {})
    assert within(10, lambda: worker.status() == 7)
    child = int(worker.tail()[0].split()[1])
    assert within(10, lambda: not alive(child))


def test_a_signal_goes_to_all_that_it_started():
    starter = LocalStarter(own_terminal=False)
    worker = starter.start("here", STAYING, {"SECRET": "x", "OMP_NUM_THREADS": "1"})
    assert within(10, lambda: child_of(worker.tail()))
    child = child_of(worker.tail())
    worker.signal(signal.SIGKILL)
    assert within(10, lambda: worker.status() == -9 and not alive(child))


def test_who_has_ended_is_not_signalled(monkeypatch):
    """Its number may be that of a stranger by then."""
    starter = LocalStarter(own_terminal=False)
    worker = starter.start("here", ["true"], {})
    assert within(10, lambda: worker.status() == 0)
    signalled = []
    monkeypatch.setattr(os, "killpg", lambda *to: signalled.append(to))
    worker.signal(signal.SIGTERM)
    starter.close()
    assert not signalled
    stays = starter.start("here", ["sleep", "60"], {})
    stays.signal(signal.SIGTERM)
    assert signalled == [(stays.pid, signal.SIGTERM)]
    monkeypatch.undo()
    starter.close()
