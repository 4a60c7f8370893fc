"""Workers by a remote shell: hosts are namespaces, or loopback addresses behind a real sshd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from cluster.starters import held, remote
from cluster.starters.ssh import SshStarter
from intent.errors import IntentError, UsageError
from tests.support.held import ROOT, STAYING, alive, child_of, ending, within
from tests.support.namespaces import missing, network
from tests.support.sshd import no_sshd, sshd

HERE = ["sh", "-c", ': {host}; sh -c "$0"']
SECRET = {"SECRET": "quite so"}
with_sshd = pytest.mark.skipif(bool(no_sshd()), reason=no_sshd())
in_namespaces = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture
def here():
    """A starter whose hosts are all this machine, without a namespace."""
    heard: list[tuple[str, str]] = []
    shell = SshStarter(
        HERE, folder=str(ROOT), slots={"b": 10**6}, relay=lambda _, stream, line: heard.append(
            (stream, line)
        )
    )  # fmt: skip
    shell.heard = heard
    yield shell
    shell.close()


def test_a_worker_runs_and_its_words_and_status_come_back(here):
    worker = here.start("b", ending(3), SECRET)
    assert within(30, lambda: worker.status() is not None)
    assert worker.status() == 3 and worker.host == "b"
    assert here.heard[0] == ("stdout", f"secret quite so in {ROOT} with 1")
    assert ("stderr", "a word on stderr") in here.heard
    assert sorted(worker.tail()) == sorted(line for _, line in here.heard)
    worker.signal(signal.SIGKILL)  # of one that has ended: nothing
    assert worker.status() == 3


def test_no_secret_is_on_a_command_line(here):
    worker = here.start("b", STAYING, SECRET)
    assert within(30, lambda: child_of(worker.tail()))
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
    assert "cluster.starters.held" in listed  # the holder is listed, and what is not there is said
    assert "quite so" not in listed


def test_a_stopped_worker_and_what_it_started_are_killed(here):
    worker = here.start("b", STAYING, SECRET)
    assert within(30, lambda: child_of(worker.tail()))
    worker.signal(signal.SIGSTOP)
    time.sleep(0.3)
    assert worker.status() is None and alive(child_of(worker.tail()))
    worker.signal(signal.SIGTERM)  # which a stopped process does not feel
    time.sleep(0.3)
    assert worker.status() is None
    worker.signal(signal.SIGKILL)
    assert within(5, lambda: worker.status() is not None) and worker.status() == -9
    assert within(5, lambda: not alive(child_of(worker.tail())))


@pytest.mark.parametrize("frozen", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_supervisor_is_killed_and_the_worker_ends(frozen):
    program = f"""
import sys, time
from cluster.starters.ssh import SshStarter
from tests.support.held import STAYING, child_of, within
starter = SshStarter({HERE!r}, folder={str(ROOT)!r})
worker = starter.start("b", STAYING, {SECRET!r})
assert within(30, lambda: child_of(worker.tail()))
print(worker.pid, child_of(worker.tail()), flush=True)
time.sleep(1000)
"""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    pids = [int(word) for word in supervisor.stdout.readline().split()]
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    if frozen:
        os.kill(pids[0], signal.SIGSTOP)
    supervisor.kill()
    assert supervisor.wait() == -9
    assert within(held.TERM_S + 5, lambda: not any(alive(pid) for pid in pids))


@with_sshd
def test_by_ssh_on_loopback(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    with sshd(tmp_path / "sshd", ["127.0.0.2", "127.0.0.3"]) as shell:
        starter = SshStarter(shell, folder=str(folder))
        workers = [starter.start(f"127.0.0.{i}", ending(i), SECRET) for i in (2, 3)]
        assert within(30, lambda: all(w.status() is not None for w in workers))
        assert [w.status() for w in workers] == [2, 3], [w.tail() for w in workers]
        assert f"secret quite so in {folder} " in workers[0].tail()[0]

        staying = starter.start("127.0.0.2", STAYING, SECRET)
        assert within(30, lambda: child_of(staying.tail()))
        staying.signal(signal.SIGSTOP)
        staying.signal(signal.SIGKILL)
        assert within(5, lambda: staying.status() is not None) and staying.status() == -9

        dropped = starter.start("127.0.0.3", STAYING, SECRET)
        assert within(30, lambda: child_of(dropped.tail()))
        dropped.local.kill()  # the connection breaks
        assert within(5, lambda: dropped.status() is not None) and dropped.status() == -9
        assert within(held.TERM_S + 5, lambda: not alive(child_of(dropped.tail())))

        unknown = starter.start("127.0.0.4", STAYING, SECRET)  # nobody listens there
        assert within(15, lambda: unknown.status() is not None) and unknown.status() == 255
        assert "Connection refused" in " ".join(unknown.tail())
        starter.close()


@pytest.mark.slow
@with_sshd
@in_namespaces
def test_a_host_is_cut_off(tmp_path):
    """Both ends find out by silence: there is no other sign."""
    with network(["a"]) as hosts:
        address = hosts.addresses["a"]
        with sshd(tmp_path / "sshd", [address], hosts.enter("a")) as shell:
            starter = SshStarter(shell, folder=str(ROOT))
            worker = starter.start(address, STAYING, SECRET)
            assert within(30, lambda: child_of(worker.tail()))
            hosts.cut("a")
            began = time.monotonic()
            assert within(3 * remote.SILENCE_S, lambda: worker.status() is not None)
            assert worker.status() == -9 and time.monotonic() - began < remote.SILENCE_S + 3
            assert "not been heard" in worker.tail()[-1] or "ended" in worker.tail()[-1]
            assert alive(worker.pid)  # it is there, out of reach
            limit = held.SILENCE_S + held.TERM_S + 5
            assert within(limit, lambda: not alive(child_of(worker.tail())))
            began = time.monotonic()
            starter.close()
            assert time.monotonic() - began < 5


def test_errors_say_what_is_wrong(here):
    missing_program = here.start("b", ["/no/such/program"], SECRET)
    assert within(30, lambda: missing_program.status() is not None)
    assert "/no/such/program: No such file" in missing_program.tail()[-1]
    with pytest.raises(UsageError, match="lacks the word {host}"):
        SshStarter(["ssh", "-T"])
    with pytest.raises(IntentError, match="no-such-shell: No such file"):
        SshStarter(["no-such-shell", "{host}"]).start("b", STAYING, {})
