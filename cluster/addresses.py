"""Which of its addresses and interfaces a host uses towards another one.

Horovod's Gloo must be told an interface (HOROVOD_GLOO_IFACE): its own guess is the one that the
host's name resolves to, which on many hosts is loopback. The one by which a worker reaches the
coordinator is in the network where the others are.
"""

from __future__ import annotations

import ipaddress
import socket

from intent.errors import IntentError


def address_towards(host: str, port: int = 1) -> str:
    """The address of this machine from which it reaches `host`, by the routes. Sends nothing.

    `host` may have a user before it, as in user@host. Raises IntentError where the name is unknown
    or no route leads there.
    """
    host = host.rpartition("@")[2]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise IntentError(
            f"the name {host!r} is unknown on this machine ({error.strerror}): use the name or "
            "the address by which its neighbours reach it"
        ) from error
    reason = ""
    for family, kind, _, _, address in found:
        try:
            with socket.socket(family, kind) as probe:
                probe.connect(address)  # a datagram's: it asks the routes and sends nothing
                return probe.getsockname()[0]
        except OSError as error:
            reason = error.strerror
    raise IntentError(f"no route leads from this machine to {host} ({reason})")


def interface_towards(host: str, port: int = 1) -> str:
    """The name of the interface by which this machine reaches `host`, such as "eth0" or "lo".

    For an address of this machine itself it is the interface that has it, where others reach it
    too. Raises IntentError as `address_towards` does.
    """
    return interface_of(address_towards(host, port))


def interface_of(address: str) -> str:
    """The name of this machine's interface that has `address`; IntentError if none has."""
    import psutil

    wanted = ipaddress.ip_address(address.partition("%")[0])
    interfaces = psutil.net_if_addrs()
    for name, entries in interfaces.items():
        for entry in entries:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                own = ipaddress.ip_address(entry.address.partition("%")[0])
                # 127.0.0.2 is loopback's without standing there.
                if wanted == own or (wanted.is_loopback and own.is_loopback):
                    return name
    known = ", ".join(interfaces)
    raise IntentError(f"no interface of this machine has the address {address} (it has {known})")


def is_loopback(host: str) -> bool:
    """Whether a name or an address means the machine itself by loopback: localhost, 127.0.0.2."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
