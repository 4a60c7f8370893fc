"""What a process has sent, as the kernel counts it."""

from __future__ import annotations

import socket
import threading

from benchmarks.reduce import wire


def test_bytes_of_a_connection_are_those_that_were_sent():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        before = wire.bytes_sent()
        received = threading.Thread(target=lambda: theirs.recv(1_000_000, socket.MSG_WAITALL))
        received.start()
        ours.sendall(bytes(1_000_000))
        received.join(10)
        theirs.sendall(bytes(77))  # both ends are of this process
        ours.recv(77, socket.MSG_WAITALL)
        assert wire.between(before, wire.bytes_sent()) == 1_000_077


def test_a_connection_that_is_new_counts_whole():
    assert wire.between({1: 5}, {1: 8, 2: 10}) == 13
