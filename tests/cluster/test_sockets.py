"""Connections are cut, and nothing else that has taken their number meanwhile."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from cluster.sockets import open_sockets, sever

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def test_both_ends_are_told():
    before = open_sockets()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        new = {fd: name for fd, name in open_sockets().items() if before.get(fd) != name}
        assert ours.fileno() in new
        sever({ours.fileno(): new[ours.fileno()]})
        assert theirs.recv(1) == b""
        assert ours.recv(1) == b""


def test_control_a_number_that_is_another_socket_or_a_file_now_is_left_alone(tmp_path):
    old, _ = pair = socket.socketpair()
    known = open_sockets()[old.fileno()]
    number = old.fileno()
    other, peer = socket.socketpair()
    with other, peer:
        os.dup2(other.fileno(), number)
        files = len(os.listdir("/proc/self/fd"))
        sever({number: known})
        peer.send(b"x")
        assert other.recv(1) == b"x"
        with open(tmp_path / "file", "w") as file:
            os.dup2(file.fileno(), number)
        sever({number: known})
        assert len(os.listdir("/proc/self/fd")) == files
    for end in pair:
        end.close()
