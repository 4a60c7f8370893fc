"""How workers and the supervisor talk: small JSON messages over HTTP, with a token.

join   {"worker", "generation"}  -> {"place": {"generation", "env", "told"}}, or {}: ask again
beat   {"worker", "generation", "updates", "waiting_s", "moves"}
                                 -> {"over", "change", "stop"}
leave  {"worker"}                -> {}, or {"refused": true}
finish {"worker"}                -> {}

and of a worker that nobody here started
come   {"place"}                 -> {"worker"}
end    {"worker", "status"}      -> {}

Each answer may be {"gone": reason} to a worker that does not count any more, {"done": true} when
training has ended. Nothing here is pickled; who does not know the token is refused.
"""

from __future__ import annotations

import hmac
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ADDRESS, TOKEN, WORKER = "INTENT_MEETING", "INTENT_MEETING_TOKEN", "INTENT_WORKER"
HEADER = "X-Intent-Token"
LARGEST = 1 << 16  # bytes of a message
TIMEOUT_S = 5.0  # for an answer

Answer = Callable[[str, dict[str, Any]], dict[str, Any]]


class MeetingServer:
    """Serves `answer(what, message)` from threads until it is closed.

    Attributes:
        port: where it listens, on all interfaces.
    """

    def __init__(self, answer: Answer, token: str, port: int = 0) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                given = self.headers.get(HEADER, "")
                length = int(self.headers.get("Content-Length", 0))
                if not hmac.compare_digest(given.encode(), token.encode()) or length > LARGEST:
                    return self.send_error(403)
                reply = json.dumps(
                    answer(self.path.strip("/"), json.loads(self.rfile.read(length)))
                )
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_: object) -> None:
                """A worker that died in the middle of a message is found out otherwise."""

        self._server = Server(("", port), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="meeting", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def ask(
    address: str,
    token: str,
    what: str,
    message: Mapping[str, Any],
    timeout: float = TIMEOUT_S,
) -> dict[str, Any] | None:
    """The supervisor's answer; None where it cannot be reached. PermissionError: a wrong token."""
    request = urllib.request.Request(
        f"http://{address}/{what}", json.dumps(message).encode(), {HEADER: token}
    )
    # Not through a proxy that the environment names: the coordinator is in the same network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        if error.code == 403:
            raise PermissionError(f"the coordinator at {address} refused the token") from error
        return None
    except (OSError, ValueError, http.client.HTTPException):  # an answer may end in the middle
        return None
