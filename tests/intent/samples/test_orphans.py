"""A dataset that is replaced, cleaned and fought over, on a folder and on an object store."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import replace

import pytest

from intent import storage
from intent.errors import IntentError, UsageError
from intent.samples import lease
from intent.samples import manifest as manifests
from intent.samples.convert import convert
from intent.samples.layout import arrow_schema, unischema
from intent.samples.orphans import MARKER, clean, writing_to
from intent.samples.reader import TrackFeed, open_samples
from intent.samples.rowgroups import read_row_groups
from intent.samples.shard_files import check_files
from intent.samples.store import write_petastorm_metadata
from tests.support.build import DICTIONARIES, build_samples
from tests.support.disk import small_disk
from tests.support.raw_logs import random_logs
from tests.support.s3 import s3, s3_server  # noqa: F401  fixtures


@pytest.fixture(scope="module")
def tables():
    return random_logs(users=3)


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "samples")
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


def build(root, tables, **options):
    """A build as the job does it: shards, then metadata, then the manifest."""
    with writing_to(root) as place:
        return build_samples(place, tables, **options)


def rows_of(root, manifest) -> list:
    items = [(s.path, g) for s in manifest.shards for g in range(len(s.row_groups))]
    return [t.to_pylist() for t in read_row_groups(root, items)]


def test_a_dataset_is_there_whole_and_is_read_by_training(root, tables, tmp_path):
    manifest = build(root, tables)
    assert open_samples(root) == manifest
    assert manifests.load_dictionaries(root, manifest).hash() == DICTIONARIES.hash()
    here = build_samples(tmp_path / "here", tables)
    assert here.content_hash() == manifest.content_hash()
    found = [
        [(b.users.tolist(), b.times.tolist()) for b in TrackFeed(r, m, m.schema, 64).batches(0)]
        for r, m in ((root, manifest), (tmp_path / "here", here))
    ]
    assert found[0] == found[1] and found[0]
    left = set(storage.files(root))
    names = {MARKER, "manifest.json", f"dictionaries-{DICTIONARIES.hash()}.json"}
    assert left == names | {s.path for s in manifest.shards}  # no lock, nothing unfinished


def test_convert_between_places(root, tables, tmp_path):
    manifest = build(root, tables)
    dense = convert(root, f"{root}-groups")
    assert open_samples_of_any_layout(f"{root}-groups") == dense
    assert dense.groups == manifest.groups and dense.layout == "groups"
    assert "_common_metadata" in storage.files(f"{root}-groups")


def open_samples_of_any_layout(root):
    manifest = manifests.load(root)
    check_files(root, manifest)
    return manifest


def test_a_changed_or_missing_shard_is_found(root, tables):
    manifest = build(root, tables)
    shard = manifest.shards[0]
    data = storage.read_bytes(f"{root}/{shard.path}")
    storage.write_atomically(f"{root}/{shard.path}", data[:-1] + b"x")
    with pytest.raises(IntentError, match=f"{shard.path} was altered"):
        check_files(root, manifest)
    check_files(root, manifest, content=False)
    storage.write_atomically(f"{root}/{shard.path}", data[:-1])
    with pytest.raises(IntentError, match=f"{shard.path} has .* bytes"):
        check_files(root, manifest, content=False)
    storage.remove(root, [shard.path])
    with pytest.raises(IntentError, match=f"{shard.path} is missing"):
        check_files(root, manifest, content=False)
    with pytest.raises(IntentError, match=f"{shard.path} is missing"):
        rows_of(root, manifest)


def test_who_reads_while_the_dataset_is_replaced_goes_on_and_is_told_the_second_time(root, tables):
    old = build(root, tables)
    expected = rows_of(root, old)
    items = [(s.path, g) for s in old.shards for g in range(len(s.row_groups))]
    reader = read_row_groups(root, items, workers=1, prefetch=1)
    read = [next(reader).to_pylist()]
    new = build(root, tables, seed=4)
    assert not {s.path for s in new.shards} & {s.path for s in old.shards}
    read += [table.to_pylist() for table in reader]
    assert read == expected != rows_of(root, new)  # the old rows to the end, none of the new
    check_files(root, old)
    assert manifests.load_dictionaries(root, old).hash() == DICTIONARIES.hash()
    with pytest.raises(IntentError):  # it fails and removes nothing that somebody may read
        with writing_to(root):
            raise IntentError("no")
    assert rows_of(root, old) == expected
    build(root, tables, seed=4)  # the same again replaces nothing
    assert rows_of(root, old) == expected
    build(root, tables, seed=5)
    with pytest.raises(IntentError, match="were rebuilt while they were read.*start again"):
        rows_of(root, old)
    with pytest.raises(IntentError, match="were rebuilt while they were read.*start again"):
        check_files(root, old)
    assert rows_of(root, new)


def test_clean_leaves_what_the_manifest_names_and_nothing_else(root, tables):
    build(root, tables)
    manifest = build(root, tables, seed=4)
    before = storage.files(root)
    replaced = {n for n in before if n.startswith("_replaced/")}
    dead = {
        "day=2024-10-04/.writing-7-abc", "day=2024-10-09/part-0.parquet", "_quarantine/a.parquet",
        "dictionaries-0.json", ".manifest.json.77", ".tracks-x/manifest.json",
    }  # fmt: skip
    for name in dead:
        storage.copy(f"{root}/manifest.json", f"{root}/{name}")
    assert replaced and clean(root) == sorted(replaced | dead)
    assert storage.files(root) == {n: s for n, s in before.items() if n not in replaced}
    assert open_samples(root) == manifest
    assert clean(root) == []


def test_a_first_build_that_fails_leaves_nothing(root):
    with pytest.raises(IntentError, match="no luck"):
        with writing_to(root) as place:
            storage.write_atomically(storage.join(place, "dictionaries-0.json"), "x")
            raise IntentError("no luck")
    assert storage.files(root) == {}


def test_what_an_unreadable_manifest_names_is_not_guessed(root, tables):
    build(root, tables)
    storage.write_atomically(f"{root}/manifest.json", '{"format": 1}')
    before = storage.files(root)
    with pytest.raises(IntentError, match="format 1"):
        clean(root)
    assert storage.files(root) == before
    manifest = build(root, tables, seed=4)  # building again mends it
    assert open_samples(root) == manifest
    assert not [n for n in storage.files(root) if n.startswith("_replaced/")]


def test_two_jobs_do_not_write_to_one_place(root, tables):
    with writing_to(root):
        with pytest.raises(UsageError, match="another job .*is writing to"):
            build(root, tables)
        with pytest.raises(UsageError, match="another job .*is writing to"):
            clean(root)
    build(root, tables)


def test_a_place_of_somebody_else_is_not_touched(root, tables):
    if storage.local(root):
        os.mkdir(root)
    storage.write_atomically(f"{root}/thesis.txt", "years of work")
    with pytest.raises(UsageError, match="holds no samples"):
        build(root, tables)
    with pytest.raises(UsageError, match="no folder of samples"):
        clean(root)
    assert list(storage.files(root)) == ["thesis.txt"]


def test_petastorm_may_read_between_metadata_and_manifest(tmp_path, tables):
    from intent.samples.petastorm_compat import install

    install()
    from petastorm import make_reader

    def groups():
        url = (tmp_path / "s").as_uri()
        with make_reader(url, reader_pool_type="dummy", num_epochs=1) as reader:
            return sum(int(row.groups) for row in reader)

    old = build(tmp_path / "s", tables)
    fields = arrow_schema(old.schema), unischema(old.schema)
    with writing_to(tmp_path / "s") as place:
        write_petastorm_metadata(place, *fields, old.shards)
    assert groups() == old.groups
    with writing_to(tmp_path / "s") as place:
        shards = [replace(s, path=s.path.replace("part", "new")) for s in old.shards]
        write_petastorm_metadata(place, *fields, shards)
        assert groups() == old.groups
    build(tmp_path / "s", tables, seed=4)  # a replaced shard is nothing that Petastorm sees
    with writing_to(tmp_path / "s") as place:
        write_petastorm_metadata(place, *fields, manifests.load(place).shards)
    assert groups() == manifests.load(tmp_path / "s").groups


def test_the_lease_of_a_killed_job_lapses_and_that_of_a_living_one_does_not(s3, monkeypatch):  # noqa: F811
    root = f"{s3}/lease"
    monkeypatch.setattr(lease, "LAPSE_S", 3)  # a store tells times in whole seconds
    monkeypatch.setattr(lease, "BEAT_S", 0.3)
    over = threading.Event()
    with writing_to(root):
        assert not over.wait(4.2)  # longer than it lasts
        with pytest.raises(UsageError, match="another job"), writing_to(root):
            pass
    with writing_to(root) as place:
        storage.write_atomically(f"{place}/dictionaries-0.json", "x")
        monkeypatch.setattr(lease, "BEAT_S", 60)
        storage.write_atomically(f"{root}/{lease.LEASE}", "{}")  # as the killed job's last beat
        with pytest.raises(UsageError, match="another job"), writing_to(root):
            pass
        over.wait(4.2)
        with writing_to(root):
            pass
    # the first had lost its lease, so it removed nothing
    assert storage.files(root) == {}


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path, tables):
    with small_disk(tmp_path, "1m") as disk:
        manifest = build(disk / "s", tables)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for name in ("s", "new"):
            with pytest.raises(IntentError, match=f"cannot write to {disk / name}: read-only"):
                build(disk / name, tables)
        assert open_samples(disk / "s") == manifest


def test_what_others_put_into_the_folder_stays(tmp_path):
    root = tmp_path / "s"
    with writing_to(root):
        (root / "day=2024-10-04").mkdir()
        (root / "day=2024-10-04" / ".writing-1-ab").touch()
        (root / "notes.txt").write_text("mine")
        (root / "runs").mkdir()
        (root / "runs" / "model.keras").touch()
    assert sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()) == [
        "notes.txt", "runs/model.keras"
    ]  # fmt: skip


def test_who_has_lost_the_place_is_told_before_he_writes(tmp_path):
    lease.Held("s", lambda: True).check()
    with pytest.raises(IntentError, match="stood still for so long"):
        lease.Held("s", lambda: False).check()
