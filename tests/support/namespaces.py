"""Several hosts on one machine: network namespaces joined by a bridge, of which one can be cut off.

Each namespace has its own interfaces, routes and loopback, as a host has; files and process ids are
shared. This process itself stays outside, and reaches the hosts (and they it) over the bridge.

    with network(["a", "b"]) as hosts:
        subprocess.Popen([*hosts.enter("a"), sys.executable, "-c", ...])
        hosts.cut("b")      # from now on nothing gets in or out of b; nobody is told
        hosts.join("b")     # and the cable is back
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

PREFIX = "intent"  # of the namespaces' names; the id of the process that made them follows
INSIDE = "net0"  # the interface that a host has besides lo


@dataclass(frozen=True)
class Network:
    """Hosts on one bridge.

    Attributes:
        address: of this process on the bridge.
        addresses: of each host, by its name.
        names: the namespace of each host, by its name.
    """

    address: str
    addresses: dict[str, str]
    names: dict[str, str]

    def enter(self, host: str) -> list[str]:
        """The words before a command that make it run on `host`."""
        return ["ip", "netns", "exec", self.names[host]]

    def cut(self, host: str) -> None:
        """Take the cable out: packets are lost, and no connection is told."""
        _ip("link", "set", _cable(self.names[host]), "down")

    def join(self, host: str) -> None:
        """Put the cable back."""
        _ip("link", "set", _cable(self.names[host]), "up")

    def processes(self, host: str) -> list[int]:
        """Process ids of all that runs on `host`."""
        return [int(pid) for pid in _ip("netns", "pids", self.names[host]).split()]


def missing() -> str:
    """Why namespaces cannot be had here; "" where they can. For `pytest.mark.skipif`."""
    if shutil.which("ip") is None:
        return "no `ip` (package iproute2)"
    if os.geteuid() != 0:
        return "network namespaces are root's to make"
    probe = f"{PREFIX}-{os.getpid()}-probe"
    for arguments in (("add", probe), ("delete", probe)):
        done = subprocess.run(["ip", "netns", *arguments], capture_output=True, text=True)
        if done.returncode:
            return f"no network namespaces here: {done.stderr.strip()}"
    return ""


@contextmanager
def network(hosts: Sequence[str]) -> Iterator[Network]:
    """Make a namespace for each name; at the end they and all that runs in them are gone."""
    _remove_dead()
    number = _free_number()
    bridge = f"ib{os.getpid()}n{number}"[:15]
    names = {host: f"{PREFIX}-{os.getpid()}-{number}-{i}" for i, host in enumerate(hosts)}
    addresses = {host: f"10.213.{number}.{i + 2}" for i, host in enumerate(hosts)}
    made = Network(f"10.213.{number}.1", addresses, names)
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("address", "add", f"{made.address}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for host in hosts:
            _add(names[host], addresses[host], bridge)
        yield made
    finally:
        for name in names.values():
            _remove(name)
        with suppress(RuntimeError):
            _ip("link", "delete", bridge)


def _add(name: str, address: str, bridge: str) -> None:
    _ip("netns", "add", name)
    cable = _cable(name)
    _ip("link", "add", cable, "type", "veth", "peer", "name", INSIDE, "netns", name)
    _ip("link", "set", cable, "master", bridge)
    _ip("link", "set", cable, "up")
    _ip("-n", name, "address", "add", f"{address}/24", "dev", INSIDE)
    _ip("-n", name, "link", "set", INSIDE, "up")
    _ip("-n", name, "link", "set", "lo", "up")


def _remove(name: str) -> None:
    with suppress(RuntimeError):
        for pid in _ip("netns", "pids", name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    with suppress(RuntimeError):  # the namespace lives on until its last process has ended
        _ip("link", "delete", _cable(name))
    with suppress(RuntimeError):
        _ip("netns", "delete", name)


def _remove_dead() -> None:
    """What a test that was killed has left."""
    for line in _ip("netns", "list").splitlines():
        prefix, _, rest = line.split(" ")[0].partition("-")
        pid = rest.partition("-")[0]
        if prefix == PREFIX and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            _remove(line.split(" ")[0])
    for line in _ip("-o", "link", "show", "type", "bridge").splitlines():
        name = line.split(": ")[1]
        pid = name.removeprefix("ib").partition("n")[0]
        if name.startswith("ib") and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with suppress(RuntimeError):
                _ip("link", "delete", name)


def _free_number() -> int:
    """A third number of 10.213.x.0 that no interface here has."""
    taken = _ip("-4", "-o", "address", "show")
    order = [(os.getpid() + i) % 250 for i in range(250)]
    return next(n for n in order if f" 10.213.{n}." not in taken)


def _cable(name: str) -> str:
    """The outer end of a host's cable. Names of interfaces have 15 letters at most."""
    _, pid, number, host = name.split("-")
    return f"iv{pid}x{int(number):x}x{host}"[:15]


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
