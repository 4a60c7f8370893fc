"""A measurement runs on the cores that it is given, on data of equal shards."""

import pytest

from benchmarks.feed import child, data
from intent.samples.reader import open_samples
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    root = tmp_path_factory.mktemp("tracks") / "samples"
    build_samples(root, random_logs(users=6))
    return root


def test_copies_of_a_shard_are_a_sound_dataset(tracks, tmp_path):
    data.with_shards(tracks, tmp_path / "three", 3)
    manifest = open_samples(tmp_path / "three")
    largest = max(s.groups for s in open_samples(tracks).shards)
    assert [s.groups for s in manifest.shards] == [largest] * 3


def test_ours_in_a_process_of_its_own(tracks):
    found = child.run("readers.ours", 1, root=str(tracks), epochs=2)
    groups = open_samples(tracks).groups
    assert [e["groups"] for e in found["epochs"]] == [groups, groups]
    assert found["cores"] == 1
    started = child.run("start.first_batch", 1, root=str(tracks), content=True)
    assert 0 < started["since_imports_s"] < started["all_s"]


def test_what_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="manifest"):
        child.run("readers.ours", 1, root=str(tmp_path / "nothing"))
