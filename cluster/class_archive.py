"""Spark's classes, read once and kept in a file, from which Java starts in half the time.

Java reads, checks and links some ten thousand classes of Spark whenever a job begins: some seconds
on two cores, more than a small job takes. It can keep what came of it (class data sharing, an
archive of 130 MB beside the environment) and map it the next time. `make setup` writes the archive;
without one, or with one that does not fit, Java reads the classes as ever.

    python -m cluster.class_archive
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

LOAD = """
import sys
from pyspark import SparkContext
from cluster.spark import session, with_progress
from intent.progress import progress

spark = session("classes", 2)
rows = spark.range(0, 4, 1, 4).mapInArrow(lambda b: b, "id long")
rows = rows.repartition(2, "id").sortWithinPartitions("id").mapInArrow(lambda b: b, "id long")
with progress("classes", unit="tasks") as bar:
    assert len(with_progress(spark, bar, rows.collect)) == 4
gateway = SparkContext._gateway
spark.stop()
gateway.shutdown()
gateway.proc.stdin.close()
sys.exit(gateway.proc.wait(120))
"""


def archive(java: str | Path) -> Path:
    """Where the archive for this Java and this pyspark is, whether it is there or not."""
    import pyspark

    digest = hashlib.sha256(f"{java} {pyspark.__version__} {pyspark.__file__}".encode())
    release = Path(java) / "release"
    if release.exists():
        digest.update(release.read_bytes())
    return Path(sys.prefix) / "share" / "intent" / f"spark-{digest.hexdigest()[:16]}.jsa"


def options(java: str | Path) -> list[str]:
    """Options that let Java use the archive, if it is there."""
    place = archive(java)
    # Where it does not fit, Java would say so on stdout, and go on without.
    return [f"-XX:SharedArchiveFile={place}", "-Xlog:disable"] if place.exists() else []


def make(java: str | Path) -> Path:
    """Write the archive, by a small job with everything that the sample job asks of Spark.

    Raises RuntimeError with what was said where that fails.
    """
    place = archive(java)
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(f".{os.getpid()}")
    environment = os.environ | {"JAVA_TOOL_OPTIONS": f"-XX:ArchiveClassesAtExit={unfinished}"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOAD],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode or not unfinished.exists():
            raise RuntimeError(f"Spark's classes could not be kept: {done.stderr[-2000:]}")
        os.replace(unfinished, place)
    finally:
        unfinished.unlink(missing_ok=True)
    return place


if __name__ == "__main__":
    from cluster.java import java_home

    home = java_home()
    if not archive(home).exists():
        print(make(home))
