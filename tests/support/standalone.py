"""A Spark standalone cluster of real processes on loopback: one master, some workers.

It runs from the pyspark wheel and the Java that the jobs use. Nothing of it knows our code: what
the executors import must be sent to them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from cluster.java import java_home

HOST = "127.0.0.1"
START_S = 60  # for all workers to have registered
STOP_S = 10
MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
UNWANTED = ("PYTHONPATH", "PYTHONHOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")


@dataclass(frozen=True)
class Standalone:
    """A running cluster.

    Attributes:
        url: for `--master`.
        workers: process ids of the workers' Java processes.
        folder: logs of master and workers, and the work folders of executors.
    """

    url: str
    workers: tuple[int, ...]
    folder: Path

    def executors(self) -> list[psutil.Process]:
        """The Java processes of executors that run now."""
        return [p for p in self._below() if is_executor(p)]

    def python_workers(self) -> list[psutil.Process]:
        """The Python processes that run tasks now."""
        return [p for p in self._below() if is_python_worker(p)]

    def _below(self) -> list[psutil.Process]:
        return [p for pid in self.workers for p in descendants(pid)]


@contextmanager
def standalone(folder: Path, workers: int = 2, memory: str = "2g") -> Iterator[Standalone]:
    """Start a master and workers of one core each; at the end none of their processes is left.

    Raises RuntimeError with the end of the logs where the workers do not register.
    """
    folder.mkdir(parents=True)
    port, web = free_port(), free_port()
    url = f"spark://{HOST}:{port}"
    processes: list[subprocess.Popen] = []
    try:
        place = ["--host", HOST, "--port", port, "--webui-port", web]
        processes.append(_start(folder, "master", MASTER, *place))
        for number in range(workers):
            place = ["--host", HOST, "--port", 0, "--webui-port", 0, "--cores", 1]
            place += ["--memory", memory, "--work-dir", folder / f"work-{number}", url]
            processes.append(_start(folder, f"worker-{number}", WORKER, *place))
        _await_workers(folder, processes, web, workers)
        yield Standalone(url, tuple(p.pid for p in processes[1:]), folder)
    finally:
        end_all(processes)


def bare_python(folder: Path) -> Path:
    """An interpreter that has our requirements, but not our packages.

    The environment of the tests knows the checkout by a hook in a .pth file. Python does not read
    the .pth files of a folder that itself comes from a .pth file, so the hook is not there here.
    """
    import numpy

    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "requirements.pth").write_text(f"{Path(numpy.__file__).parents[1]}\n")
    return folder / "bin" / "python"


def clean_environment(**variables: object) -> dict[str, str]:
    """This environment without what would show Python our checkout, and with `variables`."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return kept | {name: str(value) for name, value in variables.items()}


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below `pid`, itself left out; none where it has ended."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def is_executor(process: psutil.Process) -> bool:
    """Whether this is the Java process of an executor."""
    return "CoarseGrainedExecutorBackend" in " ".join(_command(process))


def is_python_worker(process: psutil.Process) -> bool:
    """Whether this Python process runs tasks: a fork of Spark's daemon, which is its parent."""
    with suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return _is_daemon(process) and parent is not None and _is_daemon(parent)
    return False


def end_all(processes: list[subprocess.Popen]) -> None:
    """Stop processes that were started in groups of their own, and all that they started."""
    below = [child for process in processes for child in descendants(process.pid)]
    for how in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, how)
        end = time.monotonic() + STOP_S
        while time.monotonic() < end and any(p.poll() is None for p in processes):
            time.sleep(0.05)
    for child in below:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(below, timeout=STOP_S)


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _start(folder: Path, name: str, java_class: str, *arguments: object) -> subprocess.Popen:
    import pyspark

    environment = clean_environment(
        JAVA_HOME=java_home(), SPARK_HOME=Path(pyspark.__file__).parent, SPARK_LOCAL_IP=HOST,
        SPARK_DAEMON_MEMORY="256m", SPARK_LOCAL_DIRS=folder / "local",
    )  # fmt: skip
    script = Path(pyspark.__file__).parent / "bin" / "spark-class"
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen(
            [str(script), java_class, *map(str, arguments)], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def _await_workers(folder: Path, processes: list[subprocess.Popen], web: int, wanted: int) -> None:
    end = time.monotonic() + START_S
    while _registered(web) < wanted:
        if time.monotonic() > end or any(p.poll() is not None for p in processes):
            logs = [f"{log}:\n{log.read_text()[-1500:]}" for log in sorted(folder.glob("*.log"))]
            raise RuntimeError(f"{wanted} workers did not register\n" + "\n".join(logs))
        time.sleep(0.2)


def _registered(web: int) -> int:
    connection = HTTPConnection(HOST, web, timeout=5)
    try:
        connection.request("GET", "/json/")
        state = json.loads(connection.getresponse().read())
        return sum(worker["state"] == "ALIVE" for worker in state["workers"])
    except (OSError, HTTPException, ValueError):  # it is not up yet
        return 0
    finally:
        connection.close()


def _is_daemon(process: psutil.Process) -> bool:
    return any(f"{place}daemon" in _command(process) for place in ("pyspark.", "cluster.spark_"))


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
