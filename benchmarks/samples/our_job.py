"""Our job as `intent samples` runs it, and on its last line how long Spark's start took of it.

python benchmarks/samples/our_job.py --logs LOGS --out OUT --json [any option of the job]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

BEGUN = time.time()
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cluster.spark  # noqa: E402

_session = cluster.spark.session
_started: list[float] = []


def _timed(*args, **kwargs):
    """`cluster.spark.session`, which the job calls, and the time at which it was done."""
    spark = _session(*args, **kwargs)
    _started.append(time.time())
    return spark


def main() -> int:
    """Runs the job; the last line on stdout is {"startup_s", "job_s"}."""
    cluster.spark.session = _timed
    from intent.cli import run
    from jobs.build_samples import app

    status = run(app, sys.argv[1:])
    done = time.time()
    if status == 0:
        started = _started[0]
        print(json.dumps({"startup_s": started - BEGUN, "job_s": done - started}), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
