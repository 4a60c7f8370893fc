"""One measurement in a process of its own: so many cores, warm imports, nothing left from before.

python -m benchmarks.feed.child ENTRY '{"cores": 1, ...}'

ENTRY is MODULE.FUNCTION below benchmarks.feed; its last line on stdout is what it returned.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTEROP_THREADS")
TOLD = 4000


def run(entry: str, cores: int, timeout_s: float = 1800, **options: object) -> dict:
    """What `entry` returned in a fresh process on `cores` cores.

    Raises RuntimeError with the end of its stderr if it fails.
    """
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env |= {name: str(cores) for name in THREADS}
    env |= {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONHASHSEED": "0"}
    given = {"cores": cores, "begun": time.time(), **options}
    command = [sys.executable, "-m", "benchmarks.feed.child", entry, json.dumps(given, default=str)]
    done = subprocess.run(
        command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s
    )
    if done.returncode:
        raise RuntimeError(f"{entry} {options} failed:\n{done.stderr[-TOLD:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Binds this process to its cores, then calls the function."""
    entry, given = sys.argv[1], json.loads(sys.argv[2])
    cores = given.pop("cores")
    there = sorted(os.sched_getaffinity(0))
    if len(there) < cores:
        raise SystemExit(f"{cores} cores were asked for, this process has {len(there)}")
    os.sched_setaffinity(0, there[:cores])  # before any library counts them
    import pyarrow as pa

    pa.set_cpu_count(cores)
    module, _, function = entry.rpartition(".")
    found = getattr(importlib.import_module(f"benchmarks.feed.{module}"), function)
    print(json.dumps(found(cores=cores, **given)), flush=True)
    # Petastorm's and TensorFlow's native threads may outlive the interpreter and abort the process
    # ("terminate called without an active exception") when all has been measured and said.
    os._exit(0)


if __name__ == "__main__":
    main()
