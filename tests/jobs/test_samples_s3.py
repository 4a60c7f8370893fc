"""Logs and samples on an object store: the same job, the same groups."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from intent import storage
from intent.config import SamplesConfig
from intent.errors import IntentError
from intent.samples.orphans import clean
from intent.samples.reader import TrackFeed, open_samples
from jobs.build_samples import build_samples
from tests.support.raw_logs import random_logs, write_logs
from tests.support.s3 import s3, s3_server  # noqa: F401  fixtures

SETTINGS = SamplesConfig(length=16, cuts_per_day=12, seed=3, groups_per_row_group=50)
SET = ["length=16", "cuts_per_day=12", "groups_per_row_group=50"]
LOOP = """
import json, sys
from intent.cli import build_app, run
for line in sys.stdin:
    print(run(build_app(), json.loads(line)), flush=True)
"""


@pytest.fixture
def logs(tmp_path):
    write_logs(tmp_path / "logs", random_logs(users=5))
    return tmp_path / "logs"


class Jobs:
    """`intent samples` again and again in one process, whose workers know where the store is."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, *options: str, seed: int = 3) -> dict:
        sets = [f"--set=samples.{s}" for s in (*SET, f"seed={seed}")]
        self._process.stdin.write(json.dumps(["samples", *options, *sets, "--json"]) + "\n")
        self._process.stdin.flush()
        told, status = (self._process.stdout.readline() for _ in range(2))
        assert status == "0\n", (told, status)
        return json.loads(told)

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture
def job(s3):  # noqa: F811
    jobs = Jobs()
    yield jobs
    jobs.end()


def test_samples_are_built_read_and_cleaned_on_an_object_store(tmp_path, logs, job):
    here = build_samples(logs, tmp_path / "s", SETTINGS)
    for name in storage.files(logs):
        storage.copy(logs / name, f"s3://shop/logs/2026-11-01/{name}")
    logs_, out = ["--logs", "s3://shop/logs/2026-*"], "s3://shop/samples"
    told = job(*logs_, "--out", out)
    there = open_samples(out)
    assert told["content_hash"] == there.content_hash() == here.content_hash()
    feed = TrackFeed(out, there, there.schema, batch=64)
    assert sum(int((b.weights > 0).sum()) for b in feed.batches(0)) == here.groups
    storage.write_atomically(storage.join(out, "day=2024-10-04/.writing-1-ab"), b"half")
    assert clean(out) == ["day=2024-10-04/.writing-1-ab"]
    job(*logs_, "--out", out, "--add", there.days[-1])
    assert open_samples(out) == there  # the day has the groups that it had
    told = job(*logs_, "--out", out, seed=9)
    assert told["content_hash"] == open_samples(out).content_hash() != there.content_hash()


def test_a_store_that_has_no_logs_says_so(s3):  # noqa: F811
    with pytest.raises(IntentError, match="s3://shop/nothing"):
        build_samples("s3://shop/nothing", "s3://shop/samples", SETTINGS)
    assert not storage.files("s3://shop/samples")
