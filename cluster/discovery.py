"""The hosts that there are now, as a script tells them: `host:slots` lines, as for horovodrun."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping

from cluster.topology import parse_host
from intent.errors import IntentError

LIMIT_S = 20  # for a run of the script


class HostScript:
    """Gives the hosts that a script finds; call it as often as you like.

    Only the first call waits for the script. Later ones give what is known, and let it run again
    behind them. When it fails later, what it told before holds, and that it failed is said once.

    Args:
        script: path of an executable; it gets no arguments.
        most: slots that are used, of all hosts together; those that are known first stay.
    """

    def __init__(self, script: str, most: int | None = None) -> None:
        self._script, self._most = script, most
        self._known: dict[str, int] | None = None
        self._running: threading.Thread | None = None
        self._failed = ""

    def __call__(self) -> dict[str, int]:
        """Slots by host. IntentError where the first run of the script fails."""
        if self._known is None:
            self._known = run_script(self._script)
        elif self._running is None or not self._running.is_alive():
            self._running = threading.Thread(target=self._ask, daemon=True)
            self._running.start()
        return capped(self._known, self._most)

    def _ask(self) -> None:
        try:
            found = run_script(self._script)
        except IntentError as error:
            if str(error) != self._failed:
                print(f"intent: {error}; the hosts stay as they were", file=sys.stderr, flush=True)
            self._failed = str(error)
            return
        self._failed = ""
        stay = {host: found[host] for host in self._known or {} if host in found}
        self._known = {**stay, **found}


def run_script(script: str, limit_s: float = LIMIT_S) -> dict[str, int]:
    """What one run tells. IntentError where it fails, takes too long or prints something else."""
    try:
        done = subprocess.run(
            [script], capture_output=True, text=True, timeout=limit_s, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise IntentError(
            f"the discovery script {script} cannot be run ({error.strerror}): it must be an "
            "executable file that prints host:slots lines"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise IntentError(f"the discovery script {script} took more than {limit_s:g} s") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise IntentError(
            f"the discovery script {script} ended with exit status {done.returncode}: {said}"
        )
    found: dict[str, int] = {}
    for line in done.stdout.splitlines():
        if line.strip():
            try:
                host = parse_host(line)
            except ValueError as error:
                raise IntentError(f"the discovery script {script} printed {error}") from error
            found[host["name"]] = host["slots"]
    return found


def capped(slots: Mapping[str, int], most: int | None) -> dict[str, int]:
    """`slots` without those beyond `most`, which are the last."""
    left = sum(slots.values()) if most is None else most
    kept: dict[str, int] = {}
    for host, number in slots.items():
        if left > 0:
            kept[host] = min(number, left)
            left -= kept[host]
    return kept
