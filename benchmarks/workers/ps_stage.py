"""TensorFlow's own way, a parameter server that is updated asynchronously, beside Horovod."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.workers.jobs import ENV, ROOT, Job
from benchmarks.workers.stages import Size, cores
from intent.training.logbook import read_metrics

GROUPS = 512
RECORD = 20  # steps that one point of a loss curve is the mean of, as the loop writes it
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "grpc_proxy")
THREADS = {"TF_NUM_INTEROP_THREADS": "4"}  # see `ps_server`


class ParameterServer:
    """A server, two workers bound to a core each, and a coordinator, as processes."""

    def __init__(self, stack: ExitStack, rows: int, small: bool) -> None:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        roles = (("ps", 1), ("worker", 2), ("chief", 1))
        cluster = {role: [f"127.0.0.1:{free_port()}" for _ in range(n)] for role, n in roles}
        env = {k: v for k, v in os.environ.items() if k not in PROXIES} | ENV | THREADS
        self.log = stack.enter_context((folder / "log").open("w+", errors="replace"))
        python, told = [sys.executable, "-m"], json.dumps(cluster)

        def start(module: str, *args: str, **pipes: object) -> subprocess.Popen:
            process = subprocess.Popen(
                [*python, f"benchmarks.workers.{module}", *args], env=env, cwd=ROOT, text=True,
                stderr=self.log, **pipes,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        for role, index in (("ps", 0), ("worker", 0), ("worker", 1)):
            start("ps_server", role, str(index), told, stdout=self.log)
        options = {"cluster": cluster, "small": small, "groups": GROUPS, "rows": rows}
        self.chief = start("ps", json.dumps(options), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def turn(self, updates: int) -> dict:
        """Groups a second and losses of so many updates of the two workers together."""
        self.chief.stdin.write(f"{updates}\n")
        self.chief.stdin.flush()
        line = self.chief.stdout.readline()
        if not line:
            self.log.flush()
            text = Path(self.log.name).read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the parameter server's coordinator has ended:\n{text}")
        return json.loads(line)


def parameter_server(size: Size, say: Callable[[str], None]) -> dict:
    """Groups a second in turns, and both loss curves by groups seen; {} where it is left out.

    Both see the same groups in the same order, with the same weights at the start. Horovod makes
    one update from twice `rows` groups where the server makes two from `rows` each.
    """
    if not size.ps_steps:
        return {}
    rows = min(size.rows, 32)
    found: dict = {"rows": rows, "horovod": [], "server": []}
    losses: list[float] = []
    with ExitStack() as stack:
        job = Job("horovodrun", 2, cores(), rows=rows, small=size.small, groups=GROUPS)
        stack.enter_context(job).wait()
        job.stop()
        server = ParameterServer(stack, rows, size.small)
        for turn in range(size.ps_steps // RECORD):
            job.go_on()
            answers = job.ask(do="steps", rows=rows, count=RECORD)
            job.stop()
            span = max(a["ended"] for a in answers) - min(a["began"] for a in answers)
            theirs = server.turn(2 * RECORD)
            losses += theirs["losses"]
            say(f"parameter server, turn {turn}")
            if turn:  # the first compiles
                found["horovod"].append(2 * rows * RECORD / span)
                found["server"].append(theirs["rate"])
        records = [r for r in read_metrics(job.run / "metrics.jsonl") if r["kind"] == "step"]
        found["horovod_losses"] = [r["loss"] for r in records]
    found["server_losses"] = [
        sum(losses[i : i + 2 * RECORD]) / (2 * RECORD) for i in range(0, len(losses), 2 * RECORD)
    ]
    found["ratio"] = median(b / a for a, b in zip(found["horovod"], found["server"], strict=True))
    return found


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
