"""The sample job on a real cluster that knows nothing of our code but what is sent to it."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pyspark
import pytest

from cluster.java import java_home
from intent.config import SamplesConfig
from jobs.build_samples import build_samples
from tests.support.raw_logs import random_logs, write_logs
from tests.support.standalone import bare_python, clean_environment, standalone
from tools.bundle import write_code, write_environment


@dataclass(frozen=True)
class Place:
    """A cluster, what is sent to it, logs, and the hash of what local mode makes of them."""

    url: str
    bundle: Path
    bare: Path
    logs: Path
    expected: str


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("standalone")
    logs, bundle = folder / "logs", folder / "intent-spark"
    write_logs(logs, random_logs())
    here = build_samples(logs, folder / "here", SamplesConfig(length=16))
    write_code(bundle)
    write_environment(bundle)
    with standalone(folder / "cluster") as cluster:
        bare = bare_python(folder / "bare")
        yield Place(cluster.url, bundle, bare, logs, here.content_hash())


def submit(place: Place, out: Path, *flags: str, **variables: object):
    """spark-submit's outcome, started where `intent` cannot be imported."""
    spark = Path(pyspark.__file__).parent
    quiet = f"-Dlog4j2.configurationFile=file:{place.bundle}/log4j2.properties"
    return subprocess.run(
        [
            spark / "bin" / "spark-submit", "--master", place.url, *flags,
            "--driver-java-options", quiet,
            "build_samples.py", "--logs", place.logs, "--out", out,
            "--set", "samples.length=16", "--partitions", "3", "--json",
        ],
        cwd=place.bundle, capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL,
        env=clean_environment(
            JAVA_HOME=java_home(), SPARK_HOME=spark, SPARK_LOCAL_IP="127.0.0.1", **variables
        ),
    )  # fmt: skip


def assert_same_samples(place: Place, done: subprocess.CompletedProcess) -> None:
    assert done.returncode == 0, done.stdout[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["content_hash"] == place.expected
    assert done.stderr == ""  # Spark is quiet, and joins the driver's stderr to its stdout


@pytest.mark.slow
def test_intent_zip_is_enough_where_the_requirements_are_installed(place, tmp_path):
    sent = ["--py-files", "intent.zip"]
    assert_same_samples(place, submit(place, tmp_path / "s", *sent, PYSPARK_PYTHON=place.bare))


@pytest.mark.slow
def test_the_environment_is_enough_where_nothing_is_installed(place, tmp_path):
    nothing = tmp_path / "nothing"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", nothing], check=True)
    unpacked = tmp_path / "environment"
    with tarfile.open(place.bundle / "environment.tar.gz") as archive:
        archive.extractall(unpacked, filter="data")  # for the driver, which runs here
    sent = ["--py-files", "intent.zip", "--archives", "environment.tar.gz#environment"]
    sent += ["--conf", "spark.executorEnv.PYTHONPATH=environment"]
    variables = {"PYSPARK_PYTHON": nothing / "bin" / "python", "PYTHONPATH": unpacked}
    assert_same_samples(place, submit(place, tmp_path / "s", *sent, **variables))


@pytest.mark.slow
def test_what_is_not_sent_the_executors_do_not_know(place, tmp_path):
    driver = place.bundle / "intent.zip"
    done = submit(place, tmp_path / "s", PYSPARK_PYTHON=place.bare, PYTHONPATH=driver)
    assert done.returncode == 1 and not (tmp_path / "s").exists()
    told = [line for line in done.stdout.splitlines() if line.startswith("intent: ")]
    assert "No module named" in told[-1]
