"""Connections of this process that can be cut: whoever waits on one is told at once.

Gloo waits on a connection until its timeout where the other end is frozen or its network is gone,
and where it is a rank that has itself just lost a third one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/proc/self/fd")


def open_sockets() -> dict[int, str]:
    """File descriptor -> identity of each open socket; empty on other systems than Linux."""
    found = {}
    with suppress(OSError):
        for entry in FOLDER.iterdir():
            with suppress(OSError):
                target = os.readlink(entry)
                if target.startswith("socket:"):
                    found[int(entry.name)] = target
    return found


def sever(sockets: Mapping[int, str]) -> None:
    """Shut the connections down, those that are still the same. Their owner closes them."""
    for fd, identity in sockets.items():
        with suppress(OSError):
            _sever(os.dup(fd), identity)


def _sever(copy: int, identity: str) -> None:
    """Shut down through a copy: what it stands for stays, while its owner may close the first."""
    if os.readlink(FOLDER / str(copy)) != identity:
        os.close(copy)
        return
    with socket.socket(fileno=copy) as connection:
        connection.shutdown(socket.SHUT_RDWR)
