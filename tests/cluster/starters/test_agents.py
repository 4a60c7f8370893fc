"""Agents that call, hold workers, get lost and come again; here they are plain processes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest

from cluster.starters import agents
from cluster.starters.agents import AgentStarter
from intent.errors import IntentError
from tests.support.held import ROOT, STAYING, alive, child_of, ending, within

ENV = {"SECRET": "x"}


@contextmanager
def starter_with(count, host="h"):
    starter = AgentStarter("127.0.0.1")
    processes = [agent(starter.call, host) for _ in range(count)]
    try:
        starter.await_agents(count, 30, lambda: "")
        yield starter, processes
    finally:
        starter.close()
        for process in processes:
            process.kill()
            process.wait()


def agent(call, host):
    program = "import sys; from cluster.starters.agents import agent; agent(*eval(sys.argv[1]))"
    arguments = repr((call, host, str(ROOT), {"OMP_NUM_THREADS": "7"}))
    return subprocess.Popen([sys.executable, "-c", program, arguments], cwd=ROOT)


def test_a_place_takes_one_worker_after_the_other():
    with starter_with(1) as (starter, processes):
        assert starter.discover() == {"h": 1}
        first, second = starter.start("h", ending(3), ENV), starter.start("h", ending(4), ENV)
        assert within(30, lambda: second.status() is not None)
        assert (first.status(), second.status()) == (3, 4)
        assert f"in {ROOT} with 7" in " ".join(first.tail())
        assert starter.discover() == {"h": 1}
        starter.close()
        assert processes[0].wait(timeout=10) == 0  # by itself: the starter has let it go


def test_a_stopped_worker_is_killed_and_its_place_is_free_again():
    with starter_with(1) as (starter, _):
        worker = starter.start("h", STAYING, ENV)
        assert within(30, lambda: child_of(worker.tail()))
        waiting, given_up = starter.start("h", ending(5), ENV), starter.start("h", ending(6), ENV)
        given_up.signal(signal.SIGKILL)
        worker.signal(signal.SIGSTOP)
        time.sleep(0.3)
        assert worker.status() is None and waiting.status() is None and given_up.status() == -9
        worker.signal(signal.SIGKILL)
        assert within(5, lambda: worker.status() == -9)
        assert within(30, lambda: waiting.status() == 5)
        assert not alive(child_of(worker.tail()))


def test_a_place_that_dies_takes_its_worker_with_it_and_a_new_one_gets_the_next():
    with starter_with(1) as (starter, processes):
        worker = starter.start("h", STAYING, ENV)
        assert within(30, lambda: child_of(worker.tail()))
        processes[0].kill()
        assert within(5, lambda: worker.status() == -9) and starter.discover() == {}
        assert within(10, lambda: not alive(worker.pid))
        waiting = starter.start("h", ending(3), ENV)
        assert waiting.status() is None
        processes.append(agent(starter.call, "h"))
        assert within(30, lambda: waiting.status() == 3)


def test_an_agent_whose_connection_breaks_calls_again(monkeypatch):
    with starter_with(1) as (starter, _):
        worker = starter.start("h", STAYING, ENV)
        assert within(30, lambda: child_of(worker.tail()))
        worker.link.close()
        assert within(5, lambda: worker.status() == -9)
        assert within(15, lambda: not alive(worker.pid) and starter.discover() == {"h": 1})
        again = starter.start("h", ending(3), ENV)
        assert within(30, lambda: again.status() == 3)


def test_a_place_that_nobody_has_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(agents, "FREE_S", 0.2)
    with starter_with(1) as (starter, _):
        worker = starter.start("elsewhere", ending(0), ENV)
        assert within(5, lambda: worker.status() == 1)
        assert worker.tail() == ["no slot on elsewhere became free within 0.2 s"]


def test_who_does_not_know_the_token_is_no_place():
    with starter_with(0) as (starter, _):
        address, port, token = starter.call
        for wrong in ((address, port, "guess"), (address, port, "ü")):
            process = agent(wrong, "h")
            time.sleep(1)
            process.kill()
            process.wait()
        with socket.create_connection((address, port)) as caller:
            caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with suppress(ConnectionResetError):
                assert caller.recv(100) == b""  # hung up on
        assert starter.discover() == {}
        process = agent((address, port, token), "h")  # and it does listen
        assert within(30, lambda: starter.discover() == {"h": 1})
        starter.close()
        assert process.wait(timeout=10) == 0


def test_too_little_room_is_an_error():
    with starter_with(1) as (starter, _):
        with pytest.raises(IntentError, match="room for 1 of 2 workers within 0.1 s"):
            starter.await_agents(2, 0.1, lambda: "")
        with pytest.raises(IntentError, match="it broke"):
            starter.await_agents(2, 10, lambda: "it broke")
