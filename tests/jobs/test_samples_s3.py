"""Logs and samples on an object store: the same job, the same groups."""

from __future__ import annotations

import numpy as np
import pytest

from intent import storage
from intent.config import SamplesConfig
from intent.errors import IntentError
from intent.samples.feed import TrackFeed, open_samples
from intent.samples.orphans import clean
from jobs.build_samples import build_samples
from tests.support.raw_logs import random_logs, write_logs
from tests.support.s3 import s3, s3_server  # noqa: F401  fixtures

SETTINGS = SamplesConfig(length=16, cuts_per_day=12, seed=3, groups_per_row_group=50)


@pytest.fixture
def logs(tmp_path):
    write_logs(tmp_path / "logs", random_logs(users=5))
    return tmp_path / "logs"


def copy_to(url: str, folder) -> None:
    for name in storage.files(folder):
        storage.copy(folder / name, storage.join(url, name))


def test_samples_are_built_read_and_cleaned_on_an_object_store(tmp_path, logs, s3):  # noqa: F811
    here = build_samples(logs, tmp_path / "s", SETTINGS)
    copy_to("s3://shop/logs/2026-11-01", logs)
    out = "s3://shop/samples"
    there = build_samples("s3://shop/logs/2026-*", out, SETTINGS)
    assert there.content_hash() == here.content_hash()
    assert open_samples(out) == there
    steps = [
        list(TrackFeed(root, m, m.schema, batch=64).batches(0))
        for root, m in ((str(tmp_path / "s"), here), (out, there))
    ]
    if here.hash() == there.hash():  # the same shards: the same stream, too
        for a, b in zip(*steps, strict=True):
            assert all((a.inputs[n] == b.inputs[n]).all() for n in a.inputs)
    assert sum(int((b.weights > 0).sum()) for b in steps[1]) == there.groups
    storage.write_atomically(storage.join(out, "day=2024-10-04/.writing-1-ab"), b"half")
    assert clean(out) == ["day=2024-10-04/.writing-1-ab"]
    last = there.days[-1]
    assert build_samples("s3://shop/logs/2026-*", out, SETTINGS, add=last) == there
    changed = SETTINGS.model_copy(update={"seed": 9})
    again = build_samples("s3://shop/logs/2026-*", out, changed)
    assert np.any(again.content_hash() != there.content_hash())
    assert open_samples(out) == again


def test_a_store_that_has_no_logs_says_so(s3):  # noqa: F811
    with pytest.raises(IntentError, match="s3://shop/nothing"):
        build_samples("s3://shop/nothing", "s3://shop/samples", SETTINGS)
    assert not storage.files("s3://shop/samples")
