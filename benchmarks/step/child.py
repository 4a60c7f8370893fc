"""A process of its own for each variant, which stays: built once, then asked in turns.

python -m benchmarks.step.child ENTRY '{"cores": 2, ...}'

ENTRY is MODULE.CLASS below benchmarks.step, made with the options. Each line on stdin is a JSON
object whose "method" is called with the rest; the answer is one line of JSON on stdout. Nothing
heavy is imported here: the process may run in another environment, with PyTorch and little else.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTEROP_THREADS",
           "TF_NUM_INTRAOP_THREADS")  # fmt: skip
TOLD = 4000  # characters of a failed process's stderr


class Child:
    """A process that holds one object. Ask it with `ask`, end it with `close` or `with`.

    Args:
        entry: MODULE.CLASS below benchmarks.step.
        cores: the process is bound to so many.
        python: the interpreter of its environment.
        env: added to this process's environment.
        options: of the class; what JSON holds.
    """

    def __init__(
        self,
        entry: str,
        cores: int = 2,
        python: str | Path = sys.executable,
        env: dict[str, str] | None = None,
        **options: object,
    ) -> None:
        self.name = f"{entry} {options}"
        around = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        around |= {name: str(cores) for name in THREADS}
        around |= {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"}
        around |= {"KERAS_BACKEND": "tensorflow", **(env or {})}
        given = json.dumps({"cores": cores, **options}, default=str)
        self.stderr = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            [str(python), "-m", "benchmarks.step.child", entry, given],
            env=around, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr,
        )  # fmt: skip
        self.ready = False

    def ask(self, method: str, timeout_s: float = 900, **options: object) -> Any:
        """What `method` of the object returned; RuntimeError with the end of stderr if it fails."""
        self.wait(timeout_s)
        try:
            line = json.dumps({"method": method, **options}, default=str)
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # `_answer` says why it ended
        return self._answer(timeout_s)

    def wait(self, timeout_s: float = 900) -> None:
        """Returns when the object is made."""
        if not self.ready:
            self._answer(timeout_s)
            self.ready = True

    def _answer(self, timeout_s: float) -> Any:
        timer = threading.Timer(timeout_s, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if line:
            return json.loads(line)
        self.process.wait()
        self.stderr.seek(0)
        told = self.stderr.read()[-TOLD:]
        raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{told}")

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.stderr):
            try:
                file.close()
            except BrokenPipeError:  # what it was asked last was never read
                pass

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main() -> None:
    """Binds this process to its cores, makes the object, answers until stdin ends."""
    entry, given = sys.argv[1], json.loads(sys.argv[2])
    there = sorted(os.sched_getaffinity(0))
    if len(there) < given["cores"]:
        raise SystemExit(f"{given['cores']} cores were asked for, this process has {len(there)}")
    os.sched_setaffinity(0, there[: given["cores"]])  # before any library counts them
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    module, _, name = entry.rpartition(".")
    made = getattr(importlib.import_module(f"benchmarks.step.{module}"), name)(**given)
    answer(None)
    for line in sys.stdin:
        asked = json.loads(line)
        answer(getattr(made, asked.pop("method"))(**asked))
    os._exit(0)


if __name__ == "__main__":
    main()
