"""How long a small TCP message takes on this machine."""

from __future__ import annotations

import os
import socket
import threading
import time
from statistics import median

COUNT = 2000


def one_way_s() -> float:
    """Half a round trip of 64 bytes over loopback, median; no core is free of other work."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        echo = threading.Thread(target=_echo, args=(server,), daemon=True)
        echo.start()
        with socket.create_connection(server.getsockname()) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            took, message = [], os.urandom(64)
            for _ in range(COUNT):
                began = time.perf_counter()
                line.sendall(message)
                line.recv(64, socket.MSG_WAITALL)
                took.append(time.perf_counter() - began)
    return median(took) / 2


def _echo(server: socket.socket) -> None:
    line, _ = server.accept()
    with line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while message := line.recv(64, socket.MSG_WAITALL):
            line.sendall(message)
