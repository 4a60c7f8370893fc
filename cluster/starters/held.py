"""Holds a worker process on a host, at the end of a connection: `python -m cluster.starters.held`.

It is told over stdin (or a socket) what to start and which signals to send, and tells back what the
worker writes and how it ended: one JSON object a line. The worker lives no longer than the
connection: when that ends, or says nothing for SILENCE_S, the worker gets SIGTERM, and SIGKILL
TERM_S later. What is secret comes this way too, since everybody can read a command line.

    to here    {"start": {"argv", "env", "folder", "slots"}}   {"signal": 9}    {} every BEAT_S
    from here  {"hello": host}   {"pid"}   {"stdout": text}   {"stderr": text}   {"status": n}
               {"failed": reason}                                                {} every BEAT_S

Only the standard library, so that it starts at once, also where it is sent as text.
"""

from __future__ import annotations

import codecs
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

BEAT_S = 2.0
SILENCE_S = 20.0
TERM_S = 8.0
MOST_WAITING = 1 << 20  # bytes of output that nobody takes, beyond which the worker has to wait
LAUNCHER = "INTENT_LAUNCHER_PID"  # as cluster.processes has it
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def main() -> None:
    """Hold a worker at the end of stdin and stdout."""
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda n, _: ended.append(n))
    hold(0, 1, socket.gethostname(), lambda: bool(ended))


def hold(incoming: int, outgoing: int, host: str, ended: Callable[[], bool] = lambda: False):
    """Serve the connection until it ends; what runs then is ended.

    One worker at a time; when it has ended another may be started.

    Args:
        incoming, outgoing: file descriptors, which are made non-blocking.
        host: what this place is called in the hello.
        ended: asked now and then: whether to end as if the connection had.
    """
    os.set_blocking(incoming, False)
    os.set_blocking(outgoing, False)
    holder = _Holder(incoming, outgoing)
    try:
        holder.tell(hello=host)
        while holder.turn() and not ended():
            pass
    finally:
        holder.end()


class _Holder:
    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming, self.outgoing = incoming, outgoing
        self.received, self.waiting = b"", bytearray()
        self.process: subprocess.Popen | None = None
        self.ends: list[int] = []  # is ready to read when the worker has ended (Linux)
        self.streams: dict[int, str] = {}
        self.decoders: dict[str, codecs.IncrementalDecoder] = {}
        self.heard = self.told = time.monotonic()

    def tell(self, **message: object) -> None:
        self.waiting += json.dumps(message).encode() + b"\n"

    def turn(self) -> bool:
        """Wait for something to do, for a moment at most; False when the connection has ended."""
        full = len(self.waiting) > MOST_WAITING
        reads = [self.incoming, *self.ends, *([] if full else self.streams)]
        writes = [self.outgoing] if self.waiting else []
        wait = 0.5 if self.ends or not self.process else 0.05
        ready, writable, _ = select.select(reads, writes, [], wait)
        now = time.monotonic()
        for stream in [s for s in ready if s in self.streams]:
            self._read(stream)
        if self.incoming in ready and not self._hear(now):
            return False
        self._look()
        if now - self.told > BEAT_S:
            self.told = now
            self.tell()
        return self._write(writable) and now - self.heard <= SILENCE_S

    def end(self) -> None:
        """End the worker: SIGTERM, and SIGKILL for one that stays (it may be stopped)."""
        limit = time.monotonic() + TERM_S
        self._signal(signal.SIGTERM)
        while self.process and self.process.poll() is None and time.monotonic() < limit:
            for stream in select.select(list(self.streams), [], [], 0.1)[0]:
                self._read(stream)  # it may be blocked in writing its last words
        self._signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def _hear(self, now: float) -> bool:
        try:
            data = os.read(self.incoming, 1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        self.heard = now
        *lines, self.received = (self.received + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "signal" in message:
                self._signal(message["signal"])
            elif "start" in message:
                self._start(**message["start"])
        return True

    def _start(self, argv: list[str], env: dict[str, str], folder: str, slots: int) -> None:
        if self.process:
            return self.tell(failed="a worker runs here already")
        share = str(max(1, len(os.sched_getaffinity(0)) // slots))
        environment = {name: share for name in THREADS} | dict(os.environ) | env
        environment[LAUNCHER] = str(os.getpid())
        try:
            self.process = subprocess.Popen(
                argv, env=environment, cwd=folder or None, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                preexec_fn=_end_with_parent,
            )  # fmt: skip
        except OSError as error:
            return self.tell(failed=f"{error.filename or argv[0]}: {error.strerror}")
        for name in ("stdout", "stderr"):
            stream = getattr(self.process, name).fileno()
            os.set_blocking(stream, False)
            self.streams[stream] = name
            self.decoders[name] = codecs.getincrementaldecoder("utf-8")("replace")
        with suppress(OSError, AttributeError):
            self.ends = [os.pidfd_open(self.process.pid)]
        self.tell(pid=self.process.pid)

    def _read(self, stream: int) -> None:
        data = b""
        with suppress(BlockingIOError):
            data = os.read(stream, 1 << 16)
            if not data:
                del self.streams[stream]
        if data:
            name = self.streams[stream]
            self.tell(**{name: self.decoders[name].decode(data)})

    def _look(self) -> None:
        """Tell how the worker ended, after its last words; what it started ends with it."""
        if self.process is None or self.process.poll() is None:
            return
        self._signal(signal.SIGKILL)
        for stream in select.select(list(self.streams), [], [], 0)[0]:
            self._read(stream)
        self.tell(status=self.process.returncode)
        for name in ("stdout", "stderr"):
            getattr(self.process, name).close()
        for end in self.ends:
            os.close(end)
        self.process, self.streams, self.ends = None, {}, []

    def _write(self, writable: list[int]) -> bool:
        if writable:
            try:
                del self.waiting[: os.write(self.outgoing, self.waiting)]
            except BlockingIOError:
                pass
            except OSError:  # nobody reads it any more
                return False
        return True

    def _signal(self, number: int) -> None:
        if self.process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


def _end_with_parent() -> None:
    """If this holder is killed, so is the worker (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main()
