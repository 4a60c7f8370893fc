"""Commands on Ray, as many at once as there is room for: the runs of an ablation.

Each command is a process of its own, so that a trained model never shares TensorFlow's state with
another. What is wanted twice ends once: a command that a lost node took with it is started again,
and finds what it had done.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.processes import TAIL_LINES, end_with_parent

TRIES = 3  # of a command whose node was lost
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class Work:
    """Commands to be run one after the other.

    Attributes:
        name: of the whole.
        commands: argument vectors; the first that fails is the last that is run.
        log: file for what they print.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    log: Path


@dataclass(frozen=True)
class Ended:
    """How a work ended: the status of its last command, and the end of its log if it failed."""

    name: str
    status: int
    tail: str = ""


def run_all(works: Sequence[Work], cpus: int = 1, address: str | None = None) -> Iterator[Ended]:
    """Runs all, and tells of each when it has ended.

    Args:
        works: begun in this order.
        cpus: cores of each; TensorFlow gets as many threads.
        address: of a Ray cluster ("auto": this machine's), whose nodes must see the same folders;
            None starts Ray on this machine for the time of the run.
    """
    import ray

    if not works:
        return
    own = not ray.is_initialized()
    if own:
        ray.init(address=address, include_dashboard=False, log_to_driver=False,
                 logging_level="error")  # fmt: skip
    try:
        task = ray.remote(_run).options(num_cpus=cpus, max_retries=TRIES)
        waiting = {task.remote(work, cpus, os.getcwd()): work for work in works}
        while waiting:
            ended, _ = ray.wait(list(waiting), num_returns=1)
            for reference in ended:
                work = waiting.pop(reference)
                try:
                    yield ray.get(reference)
                except Exception as error:  # the node was lost once too often
                    told = str(error).strip().splitlines()
                    yield Ended(work.name, 1, told[-1] if told else type(error).__name__)
    finally:
        if own:
            ray.shutdown()


def _run(work: Work, cpus: int, folder: str) -> Ended:
    """In a process of Ray's."""
    env = os.environ | dict.fromkeys(THREADS, str(cpus))
    work.log.parent.mkdir(parents=True, exist_ok=True)
    for command in work.commands:
        with work.log.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=end_with_parent,
            )  # fmt: skip
            status = process.wait()
        if status:
            lines = work.log.read_text(errors="replace").splitlines()
            return Ended(work.name, status, "\n".join(lines[-TAIL_LINES:]))
    return Ended(work.name, 0)
