"""What the exit status of a worker says: in numbers, in words, and as a shell would give it."""

from __future__ import annotations

import signal

from intent.training.comm import PeerLost

CRASHED = 70  # exit status of a worker that an error of the program has ended
TOLD = (1, 2)  # exit statuses of a worker that has said itself what is wrong, for all of them


def in_words(status: int) -> str:
    """What became of a worker; a negative status is that of a signal."""
    if status < 0:
        known = {number.value: number.name for number in signal.Signals}
        return f"was killed by {known.get(-status, f'signal {-status}')}"
    if status == PeerLost.exit_status:
        return "lost the others"
    if status == CRASHED:
        return "crashed"
    return f"ended with exit status {status}"


def as_exit_status(status: int) -> int:
    """The status that a process ends with for its worker: 128 + the number of a signal."""
    return 128 - status if status < 0 else status
