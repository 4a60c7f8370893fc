"""Workers in the tasks of a Spark job: on a cluster that knows only what is sent to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pyspark
import pytest

from cluster.java import java_home
from tests.support.build import build_samples
from tests.support.held import STAYING, alive, child_of, ending, within
from tests.support.raw_logs import random_logs
from tests.support.standalone import bare_python, clean_environment, standalone
from tools.bundle import write_code

DRIVER = """
import json, os, signal, sys, time
from cluster.spark import session
from cluster.starters.spark import SparkStarter

WORKER = '''
import cluster, intent, numpy, os, subprocess, sys, time
print(cluster.__file__, os.path.isfile(intent.__path__[0] + "/models/kernels/src/gru.h"))
print("child", subprocess.Popen(["sleep", "1000"]).pid, flush=True)
time.sleep(1000)
'''

def within(seconds, happens):
    end = time.monotonic() + seconds
    while not happens() and time.monotonic() < end:
        time.sleep(0.05)
    return happens()

starter = SparkStarter(2, session("test"))
host = next(iter(starter.discover()))
def start():
    worker = starter.start(host, [sys.executable, "-c", WORKER], {})
    assert within(30, lambda: len(worker.tail()) == 2), worker.tail()
    return worker
told = {"places": starter.discover()}
first, second = start(), start()
told["words"] = first.tail()
first.signal(signal.SIGSTOP); first.signal(signal.SIGKILL)
within(5, lambda: first.status() is not None)
told["killed"] = first.status()
third = start()
# The place of `second` dies: the processes above it, up to Java's executor.
import psutil
process = psutil.Process(second.pid)
while "CoarseGrainedExecutorBackend" not in " ".join(process.cmdline()):
    process = process.parent()
process.kill()
within(20, lambda: second.status() is not None)
told["lost"] = second.status()
told["gone"] = within(20, lambda: not psutil.pid_exists(second.pid))
told["again"] = within(60, lambda: starter.discover() == {host: 2})
told["third"] = third.status()
fourth = start()
told["pids"] = [third.pid, fourth.pid]
if sys.argv[1] == "close":
    starter.close()
    print(json.dumps(told), flush=True)
else:
    print(json.dumps(told), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spark")
    write_code(folder / "bundle")
    (folder / "bundle" / "driver.py").write_text(DRIVER)
    bare = bare_python(folder / "bare")
    with standalone(folder / "cluster") as cluster:
        yield cluster, folder / "bundle", bare


@pytest.mark.slow
@pytest.mark.parametrize("end", ["close", "kill"])
def test_on_a_standalone_cluster(place, end):
    cluster, bundle, bare = place
    spark = Path(pyspark.__file__).parent
    done = subprocess.run(
        [
            spark / "bin" / "spark-submit", "--master", cluster.url, "--py-files", "intent.zip",
            "--driver-java-options", f"-Dlog4j2.configurationFile=file:{bundle}/log4j2.properties",
            "driver.py", end,
        ],
        cwd=bundle, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL,
        env=clean_environment(
            JAVA_HOME=java_home(), SPARK_HOME=spark, SPARK_LOCAL_IP="127.0.0.1",
            PYSPARK_PYTHON=bare,
        ),
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(lines[-1])
    assert list(told["places"].values()) == [2]
    where, has_sources = told["words"][0].split()
    assert "/unpacked-" in where and has_sources == "True"  # the .zip is there as files
    assert (told["killed"], told["lost"], told["third"]) == (-9, -9, None)
    assert told["gone"] and told["again"]  # and Spark has given a place in its stead
    assert within(20, lambda: not any(alive(pid) for pid in told["pids"]))


@pytest.mark.slow
def test_in_local_mode():
    from cluster.starters.spark import SparkStarter

    starter = SparkStarter(2, folder=os.getcwd())
    (host,) = starter.discover()
    ends, stays = (starter.start(host, argv, {"SECRET": "x"}) for argv in (ending(3), STAYING))
    assert within(30, lambda: ends.status() == 3 and child_of(stays.tail()))
    assert f"in {os.getcwd()} " in " ".join(ends.tail())
    stays.signal(signal.SIGTERM)
    assert within(5, lambda: stays.status() == -15)
    starter.close()
    assert not alive(stays.pid)


@pytest.mark.slow
def test_training_is_submitted(place, tmp_path):
    """The job of the bundle, where executors have the requirements and none of our code."""
    cluster, bundle, bare = place
    build_samples(tmp_path / "samples", random_logs(users=8))
    spark = Path(pyspark.__file__).parent
    settings = ["train.batch_size=16", "train.max_groups=48", "model.hidden=4"]
    done = subprocess.run(
        [
            spark / "bin" / "spark-submit", "--master", cluster.url, "--py-files", "intent.zip",
            "--driver-java-options", f"-Dlog4j2.configurationFile=file:{bundle}/log4j2.properties",
            "train.py", "--samples", tmp_path / "samples", "--run", tmp_path / "run",
            "--np", "2", "--launcher", "spark", "--json",
            *(word for setting in settings for word in ("--set", setting)),
        ],
        cwd=bundle, capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL,
        env=clean_environment(
            JAVA_HOME=java_home(), SPARK_HOME=spark, SPARK_LOCAL_IP="127.0.0.1",
            PYSPARK_PYTHON=bare, TF_CPP_MIN_LOG_LEVEL="3",
        ),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["ranks"] == 2 and summary["groups"] == 48
    assert (tmp_path / "run" / "model.keras").is_file()


@pytest.mark.slow
def test_a_place_may_be_lost_more_often_than_spark_tries_a_task():
    from cluster.spark_conf import FAILURES
    from cluster.starters.spark import SparkStarter

    starter = SparkStarter(1)
    (host,) = starter.discover()
    for _ in range(FAILURES + 1):
        worker = starter.start(host, STAYING, {"SECRET": "x"})
        assert within(30, lambda w=worker: child_of(w.tail()))
        psutil.Process(worker.pid).parent().kill()
        assert within(10, lambda w=worker: w.status() == -9)
        assert within(30, lambda: starter.discover() == {host: 1})
    starter.close()
    assert starter.discover() == {}
