"""What became of a worker, from its exit status."""

from __future__ import annotations

import signal

import pytest

from cluster.endings import CRASHED, as_exit_status, in_words
from intent.training.comm import PeerLost


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-signal.SIGKILL, "was killed by SIGKILL"),
        (-50, "was killed by signal 50"),  # which has no name
        (PeerLost.exit_status, "lost the others"),
        (CRASHED, "crashed"),
        (3, "ended with exit status 3"),
    ],
)
def test_a_status_in_words(status, words):
    assert in_words(status) == words


@pytest.mark.parametrize(("status", "given"), [(0, 0), (7, 7), (-signal.SIGTERM, 143)])
def test_a_signal_is_told_as_a_shell_does(status, given):
    assert as_exit_status(status) == given
