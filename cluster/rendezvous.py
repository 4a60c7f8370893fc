"""Where the ranks of a generation meet: Horovod's rendezvous, in the supervisor's process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Rendezvous:
    """One server at a time, for the newest generation: the keys of an old one stay in its own.

    Attributes:
        address: under which workers reach this process.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._server: Any = None

    def open(self, hosts: Sequence[str]) -> list[dict[str, str]]:
        """Serve a new generation, the one before no more.

        Args:
            hosts: of each rank, equal ones side by side.

        Returns Horovod's variables of each rank.
        """
        from horovod.runner.common.util.hosts import SlotInfo
        from horovod.runner.gloo_run import create_slot_env_vars
        from horovod.runner.http.http_server import RendezvousServer

        infos = [SlotInfo(**slot) for slot in slot_numbers(hosts)]
        server = RendezvousServer()
        port = server.start()
        server.init(infos)
        self.close()
        self._server = server
        common = {
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": self.address,
            "HOROVOD_GLOO_RENDEZVOUS_PORT": port,
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
        }
        return [
            {k: str(v) for k, v in (common | create_slot_env_vars(info)).items()} for info in infos
        ]

    def close(self) -> None:
        """Stop serving: who asks then hears at once that the server is gone."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
            server._httpd.server_close()  # which `stop` leaves open


def slot_numbers(hosts: Sequence[str]) -> list[dict[str, Any]]:
    """Horovod's numbers of each rank, from the host of each rank (equal hosts side by side).

    A local rank counts within a host, a cross rank over the hosts that have this local rank.
    """
    local: list[int] = []
    for rank, host in enumerate(hosts):
        local.append(hosts[:rank].count(host))
    return [
        {
            "hostname": host,
            "rank": rank,
            "local_rank": local[rank],
            "cross_rank": local[:rank].count(local[rank]),
            "size": len(hosts),
            "local_size": list(hosts).count(host),
            "cross_size": local.count(local[rank]),
        }
        for rank, host in enumerate(hosts)
    ]
