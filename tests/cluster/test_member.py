"""A worker's side of the supervisor: when it hears that it does not count, or nothing any more."""

from __future__ import annotations

import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cluster import member as members
from cluster.meeting import MeetingServer, ask
from cluster.member import Member
from intent.training.comm import PeerLost
from tests.support.elastic import ROOT


class Coordinator:
    """Answers every message with `says`, and counts the beats."""

    def __init__(self) -> None:
        self.says: dict = {}
        self.beats = 0
        self.server = MeetingServer(self._answer, "secret")
        self.address = f"127.0.0.1:{self.server.port}"

    def _answer(self, what: str, message: dict) -> dict:
        self.beats += what == "beat"
        return self.says


@pytest.fixture
def coordinator() -> Iterator[Coordinator]:
    found = Coordinator()
    yield found
    found.server.close()


@pytest.fixture
def member_of(coordinator) -> Iterator[Callable[[str], Member]]:
    """Members of this process, who end it some minutes after their coordinator if not closed."""
    made: list[Member] = []

    def make(token: str = "secret") -> Member:
        made.append(Member(coordinator.address, token, 0))
        return made[-1]

    yield make
    for member in made:
        member.close()


def until(happens: Callable[[], object], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not happens() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(happens())


def test_who_does_not_count_any_more_makes_no_step(coordinator, member_of):
    member = member_of()
    assert until(lambda: coordinator.beats)
    member.check()
    coordinator.says = {"gone": "was frozen"}
    assert until(lambda: member.gone)
    with pytest.raises(PeerLost, match="was frozen"):
        member.check()


def test_who_was_not_heard_for_a_while_asks_before_it_goes_on(coordinator, member_of, monkeypatch):
    """As a process that thaws: its heartbeat may come later than its next step."""
    monkeypatch.setattr(members, "BEAT_S", 60.0)
    member = member_of()
    assert until(lambda: coordinator.beats == 1)
    coordinator.says = {"gone": "was frozen"}
    member.check()  # it was heard just now
    monkeypatch.setattr(members, "DOUBT_S", -1.0)
    with pytest.raises(PeerLost, match="was frozen"):
        member.check()
    assert coordinator.beats == 2


def test_another_job_at_the_coordinators_place_is_no_coordinator(member_of):
    member = member_of("of the job before")
    assert until(lambda: member.gone)
    with pytest.raises(PeerLost, match="refused the token"):
        member.check()


@contextmanager
def answering(words: bytes) -> Iterator[str]:
    """A server that says something else than an answer."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 16)
            self.request.sendall(words)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "words", [b"220 mail\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b""]
)
def test_an_answer_that_breaks_off_is_none(words):
    with answering(words) as address:
        assert ask(address, "secret", "beat", {}) is None


def test_nobody_stays_for_ever_without_its_coordinator(coordinator):
    """Be it stuck in its reader: there is nobody left who would end it."""
    code = (
        "import time; from cluster import member\n"
        "member.ALONE_S = 2.0\n"
        f"member.Member({coordinator.address!r}, 'secret', 0)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        assert until(lambda: coordinator.beats > 4)
        assert process.poll() is None
        coordinator.server.close()
        assert process.wait(timeout=20) == PeerLost.exit_status
    finally:
        process.kill()
