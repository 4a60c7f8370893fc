"""The communicator of a supervisor's workers: ranks that can be lost and joined.

Horovod cannot change a set of ranks, but a process can leave one set and enter another: shut down,
take other HOROVOD_ variables, initialize again. What TensorFlow has compiled goes on to work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.addresses import interface_towards
from cluster.horovod import SILENCE_END_S, HorovodCommunicator
from cluster.member import Member
from cluster.sockets import open_sockets, sever
from cluster.watchdog import Watchdog
from intent.training.comm import PeerLost

TIMELINE = "HOROVOD_TIMELINE"
LAST_RESORT_S = 300.0
TRIES = 5  # to enter generations that lose somebody while they meet


class ElasticCommunicator(HorovodCommunicator):
    """Collectives over the workers of the present generation."""

    elastic = True

    def __init__(self, member: Member) -> None:
        self._member = member
        self._timeline = os.environ.get(TIMELINE, "")
        self._interface = os.environ.get("HOROVOD_GLOO_IFACE", "")
        self._before: dict[int, str] | None = None  # sockets from before the ranks meet
        self._connections: dict[int, str] = {}  # those of the generation, once they have met
        self._told: list[str] = []
        os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(SILENCE_END_S))
        # The supervisor finds out who is stuck; should it fail, the wait here still ends.
        watch = Watchdog(member.number, LAST_RESORT_S)
        member.watch(watch.waited, self._cut)
        super().__init__(watch)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """As of a fixed set; and PeerLost where this process does not count any more.

        A rank without peers waits for nobody, so that nothing else would keep it from going on
        beside those who took its place.
        """
        self._member.check()
        with super().guard():
            yield

    def changed(self) -> bool:
        """Whether somebody waits to join or is about to leave."""
        return self._member.change

    def asked_to_stop(self) -> str:
        """Why training is to end after this step."""
        return self._member.stop

    def leave(self) -> bool:
        """Ask to end without the others."""
        return self._member.leave()

    def report(self, updates: int) -> None:
        """How far training is."""
        self._member.updates = updates

    def at_work(self) -> None:
        """Others may have to wait, and this is no reason to end this process."""
        self._member.moves += 1

    def finish(self) -> None:
        """Training is over: whoever is lost from here on is not missed."""
        self._member.finish()

    def renew(self) -> list[str]:
        """Meet those who are there now; who was lost and who came."""
        self._cut()
        self._hvd.shutdown()
        self._initialize()
        return self._told

    def _initialize(self) -> None:
        for _ in range(TRIES):
            place = self._member.join()
            if place is None:
                raise SystemExit(0)  # the others have ended well
            self._told = place.told
            os.environ.update(place.env)
            if not self._interface:
                self._interface = interface_towards(*self._member.coordinator)
            if self._timeline and place.generation:  # or the new one would replace the old
                path = Path(self._timeline)
                name = f"{path.stem}.{place.generation}{path.suffix}"
                os.environ[TIMELINE] = str(path.with_name(name))
            os.environ["HOROVOD_GLOO_IFACE"] = self._interface
            self._connections, self._before = {}, open_sockets()
            try:
                self._hvd.init()
            except Exception as error:  # Horovod raises what it likes here
                failed = error
                self._hvd.shutdown()
                continue
            self._connections, self._before = self._new(self._before), None
            self.rank, self.size = self._hvd.rank(), self._hvd.size()
            return
        raise PeerLost(f"no set of ranks could meet: {failed}") from failed

    def _cut(self) -> None:
        """End what waits for a rank that is gone; called from the heartbeat's thread, too."""
        before = self._before
        sever(self._connections if before is None else self._new(before))

    def _new(self, before: dict[int, str]) -> dict[int, str]:
        return {fd: name for fd, name in open_sockets().items() if before.get(fd) != name}
