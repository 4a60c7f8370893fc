"""A Spark session as it comes up: the user's settings, then ours; quiet; no task merged."""

from __future__ import annotations

import json
import os
import subprocess
import sys

SHOW = """
import json
from cluster.spark import session
spark = session("a name", cores=2)
conf = dict(spark.sparkContext.getConf().getAll())
given = spark.range(1000).repartition(7, "id").groupBy("id").count()
conf["given"] = len(given.rdd.glom().map(len).collect())
print(json.dumps(conf))
"""
OWN = "--conf spark.driver.memory=777m --conf spark.io.compression.codec=lz4 pyspark-shell"


def test_settings_are_the_users_then_ours_and_the_shuffle_keeps_its_tasks():
    done = subprocess.run(
        [sys.executable, "-c", SHOW], capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env=os.environ | {"PYSPARK_SUBMIT_ARGS": OWN}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    conf = json.loads(done.stdout)
    assert conf["spark.driver.memory"] == "777m" and conf["spark.io.compression.codec"] == "lz4"
    assert conf["spark.app.name"] == "a name" and conf["spark.master"] == "local[2,4]"
    assert conf["spark.python.daemon.module"] == "cluster.spark_daemon"
    assert conf["spark.ui.showConsoleProgress"] == "false"
    assert done.stderr == ""
    assert conf["given"] == 7  # adaptive execution does not merge tasks whose number was given
