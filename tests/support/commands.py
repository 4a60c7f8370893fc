"""Runs `intent` commands as a user does: another process, its exit status and what it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """The last line of stdout."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def told(self) -> str:
        """The one line in which a command says what is wrong."""
        return [line for line in self.err.splitlines() if line.startswith("intent: ")][-1]


def intent(*arguments: object, timeout: float = 300, env: dict | None = None) -> Done:
    """Run `intent ARGUMENTS`."""
    done = subprocess.run(
        [sys.executable, "-m", "intent.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, env=env,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)
