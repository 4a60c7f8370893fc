"""A real ssh server with keys and a configuration of its own, on loopback or on a test's host."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.starters.ssh import SSH
from tests.support.standalone import free_port

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
RUN = Path("/run/sshd")  # sshd leaves its privileges for this empty folder
START_S = 10


def no_sshd() -> str:
    """Why there can be no server here; "" where there can."""
    if not (os.access(SSHD, os.X_OK) and shutil.which("ssh") and shutil.which("ssh-keygen")):
        return "no sshd, ssh and ssh-keygen (packages openssh-server, openssh-client)"
    if os.geteuid() != 0:
        return "sshd lets in others than the one who starts it only as root"
    return ""


@contextmanager
def sshd(folder: Path, addresses: Sequence[str], enter: Sequence[str] = ()) -> Iterator[list[str]]:
    """Serve on `addresses`; yields the words of a remote shell that gets in.

    Args:
        folder: for keys, configuration and log; made.
        enter: words before the server's command, to run it on one of `namespaces.network`.
    """
    folder.mkdir(parents=True)
    RUN.mkdir(exist_ok=True)
    port = free_port()
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    (folder / "user.pub").rename(folder / "authorized")
    public = (folder / "host.pub").read_text()
    (folder / "known").write_text("".join(f"[{a}]:{port} {public}" for a in addresses))
    (folder / "config").write_text(
        f"Port {port}\n"
        + "".join(f"ListenAddress {address}\n" for address in addresses)
        + f"HostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized'}\n"
        f"PidFile {folder / 'pid'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"PermitRootLogin yes\nAllowUsers {getpass.getuser()}\n"
    )
    words = [*enter, SSHD, "-D", "-e", "-f", str(folder / "config")]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _await(addresses[0], port, server, folder / "log")
        options = ["-F", "none", "-i", folder / "user", "-p", port, "-o", "IdentitiesOnly=yes"]
        options += ["-o", f"UserKnownHostsFile={folder / 'known'}"]
        yield [SSH[0], *map(str, options), *SSH[1:]]
    finally:
        server.terminate()
        server.wait()


def _await(address: str, port: int, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"sshd did not start:\n{log.read_text()}") from error
            time.sleep(0.05)
