"""A worker's side of the supervisor: it calls home, beats, and hears what to do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cluster import meeting
from cluster.meeting import TIMEOUT_S
from intent.errors import IntentError
from intent.training.comm import PeerLost

BEAT_S = 0.5
POLL_S = 0.1
LOST_S = 20.0  # without the supervisor, after which this worker is on its own
ALONE_S = 300.0  # and after which it ends whatever it does: nobody is there who could end it
DOUBT_S = 5.0  # not heard of, it may not be counted any more, and asks before it goes on
ASK_S = 2.0  # for the answer to that


@dataclass(frozen=True)
class Place:
    """A rank in a generation: Horovod's variables, and who was lost or came since the last one."""

    generation: int
    env: dict[str, str]
    told: list[str]


class Member:
    """This process as one of a supervisor's workers. Its thread beats from the start.

    Attributes:
        number: as the supervisor counts.
        generation: that it has a place in; -1 before the first.
        change: the ranks are asked to meet again as soon as all can.
        stop: training is to end after the step, because of this.
        gone: why this worker does not count any more; empty while it does.
        updates: how far training is, for the supervisor; -1 where that is not known yet.
        moves: changes as this process works, so that it is not taken for stuck.
    """

    def __init__(self, address: str, token: str, number: int) -> None:
        self._address, self._token, self.number = address, token, number
        self.change, self.stop, self.gone, self.updates = False, "", "", -1
        self.moves = 0
        self.generation, self._heard_of = -1, 0
        self._waiting: Callable[[], float] = lambda: 0.0
        self._over: Callable[[], None] = lambda: None
        self._reached = time.monotonic()
        self._closed = threading.Event()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def close(self) -> None:
        """Beat no more, and end nothing any more."""
        self._closed.set()

    @property
    def coordinator(self) -> tuple[str, int]:
        """Host and port of the supervisor."""
        host, _, port = self._address.rpartition(":")
        return host, int(port)

    def watch(self, waiting: Callable[[], float], over: Callable[[], None]) -> None:
        """Tell how long this rank has been waiting for others; hear that its generation is over.

        `over` is called from the heartbeat's thread, again and again until the next `join`.
        """
        self._waiting, self._over = waiting, over

    def join(self) -> Place | None:
        """Wait for a place in a generation after the present one; None: training has ended well.

        PeerLost where there will be none, with the reason.
        """
        while True:
            answer = self._ask("join", generation=self.generation)
            if answer is None:
                if time.monotonic() - self._reached > LOST_S:
                    raise PeerLost(f"the coordinator at {self._address} has not answered")
            elif "gone" in answer:
                raise PeerLost(answer["gone"])
            elif "done" in answer:
                return None
            elif "place" in answer:
                place = answer["place"]
                self.generation, self.change = place["generation"], False
                told, self._heard_of = place["told"][self._heard_of :], len(place["told"])
                return Place(place["generation"], place["env"], told)
            time.sleep(POLL_S)

    def check(self) -> None:
        """PeerLost where this worker does not count any more: others may be in its place.

        One that was frozen or cut off for a while asks first; a rank without peers would not find
        out otherwise.
        """
        if not self.gone and time.monotonic() - self._reached > DOUBT_S:
            self._hear(self._ask_beat(ASK_S))
        if self.gone:
            raise PeerLost(f"this worker does not count any more: {self.gone}")

    def leave(self) -> bool:
        """Ask to end alone, without the others; False where nobody can be asked."""
        answer = self._ask("leave")
        return answer is not None and not {"gone", "refused", "done"} & set(answer)

    def finish(self) -> None:
        """Tell that training has come to its end."""
        self._ask("finish")

    def end(self, status: int) -> None:
        """Tell with which status this process ends, where nobody watches it."""
        self._ask("end", status=status)

    def _ask(self, what: str, timeout: float = TIMEOUT_S, **message: object) -> dict | None:
        message["worker"] = self.number
        answer = meeting.ask(self._address, self._token, what, message, timeout)
        if answer is not None:
            self._reached = time.monotonic()
        return answer

    def _ask_beat(self, timeout: float = TIMEOUT_S) -> dict | None:
        try:
            return self._ask(
                "beat",
                timeout,
                generation=self.generation,
                updates=self.updates,
                waiting_s=self._waiting(),
                moves=self.moves,
            )
        except PermissionError as error:  # another job listens there now
            return {"gone": str(error)}

    def _hear(self, answer: dict | None) -> None:
        """What the supervisor said to a beat; None where it could not be reached."""
        alone = time.monotonic() - self._reached
        if answer is not None:
            self.change = answer.get("change", False)
            self.stop = answer.get("stop", self.stop)
            self.gone = self.gone or answer.get("gone", "")
            if answer.get("over") or self.gone:
                self._over()
        elif alone > ALONE_S:
            os._exit(PeerLost.exit_status)
        elif alone > LOST_S:
            self.stop = "the loss of the coordinator"

    def _beat(self) -> None:
        while not self._closed.is_set():
            self._hear(self._ask_beat())
            self._closed.wait(BEAT_S)


_member: Member | None = None


def called_home() -> Member | None:
    """This process as a member; None where no supervisor started it. The first call calls home."""
    global _member
    if _member is None and meeting.ADDRESS in os.environ:
        address, token = os.environ[meeting.ADDRESS], os.environ[meeting.TOKEN]
        _member = Member(address, token, int(os.environ[meeting.WORKER]))
    return _member


def come(address: str, token: str, place: int, patience_s: float) -> Member:
    """Call a supervisor that did not start this process: it holds a place by its number.

    Waits until the supervisor is there; IntentError where it is not within `patience_s`.
    """
    global _member
    until = time.monotonic() + patience_s
    while (answer := meeting.ask(address, token, "come", {"place": place})) is None:
        if time.monotonic() > until:
            raise IntentError(f"no coordinator answers at {address} after {patience_s:g} s")
        time.sleep(1.0)
    if answer.get("worker") is None:
        why = answer.get("gone", f"it has no place {place}: check the number of workers")
        raise IntentError(f"the coordinator at {address} does not take this worker: {why}")
    _member = Member(address, token, answer["worker"])
    return _member
