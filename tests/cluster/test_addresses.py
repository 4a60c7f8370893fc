"""Which interface leads to the coordinator, on this machine and on a host with its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.addresses import address_towards, interface_of, interface_towards, is_loopback
from intent.errors import IntentError
from tests.support.namespaces import missing, network

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_loopback_leads_to_loopback(host):
    assert interface_towards(host, 80) == "lo"
    assert is_loopback(host) and not is_loopback("10.0.0.1") and not is_loopback("hosta")


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_in_a_namespace_the_coordinator_is_reached_by_the_cable():
    with network(["a"]) as hosts:
        code = "from cluster.addresses import *; print(interface_towards('{0}'), {1})"
        towards = code.format(hosts.address, f"address_towards('{hosts.address}')")
        own = code.format("127.0.0.1", f"interface_towards('{hosts.addresses['a']}')")
        for program, expected in ((towards, f"net0 {hosts.addresses['a']}"), (own, "lo net0")):
            words = [*hosts.enter("a"), sys.executable, "-c", program]
            done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
            assert done.stdout.strip() == expected, done.stderr
        # From outside the same host is reached by the bridge, which is not what it calls net0.
        assert interface_towards(hosts.addresses["a"]) not in ("lo", "net0")
        assert address_towards(hosts.addresses["a"]) == hosts.address


def test_what_leads_nowhere_is_told():
    with pytest.raises(IntentError, match="'no.such.host.invalid' is unknown"):
        interface_towards("no.such.host.invalid")
    with pytest.raises(IntentError, match="no interface of this machine has the address 192.0.2.1"):
        interface_of("192.0.2.1")
