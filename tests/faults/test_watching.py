"""The watcher of the fault tests sees half a dataset where there is one, and only there."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from intent import storage
from intent.samples import manifest as manifests
from tests.faults.watching import PAUSE_S, watching
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs

A_WHILE = 6 * PAUSE_S


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets")
    for seed in (1, 2):
        build_samples(folder / str(seed), random_logs(users=2), seed=seed)
    return [folder / "1", folder / "2"]


def put_files(source: Path, target: Path) -> None:
    """What a job writes before its manifest."""
    for path in source.rglob("*"):
        if path.is_file() and path.name != manifests.NAME:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)


def put_manifest(source: Path, target: Path) -> None:
    storage.write_atomically(target / manifests.NAME, (source / manifests.NAME).read_text())


def test_files_first_and_the_manifest_last_is_right_also_over_an_old_dataset(datasets, tmp_path):
    old, new = datasets
    with watching(tmp_path / "s") as seen:
        for source in (old, new):
            put_files(source, tmp_path / "s")
            time.sleep(A_WHILE)
            put_manifest(source, tmp_path / "s")
            time.sleep(A_WHILE)
        for path in (tmp_path / "s").glob("day=*/*"):  # what the new manifest does not name
            if not (new / path.relative_to(tmp_path / "s")).exists():
                path.unlink()
        time.sleep(A_WHILE)
    assert seen.wrong == [] and seen.looks > 10
    assert seen.datasets == [None, *((d / manifests.NAME).read_bytes() for d in datasets)]


def test_a_manifest_before_its_files_is_seen(datasets, tmp_path):
    with watching(tmp_path) as seen:
        put_manifest(datasets[0], tmp_path)
        time.sleep(A_WHILE)
        put_files(datasets[0], tmp_path)
    assert seen.wrong and "half a dataset" in seen.wrong[0]


def test_a_manifest_that_is_not_written_at_once_is_seen(datasets, tmp_path):
    put_files(datasets[0], tmp_path)
    text = (datasets[0] / manifests.NAME).read_bytes()
    with watching(tmp_path) as seen, open(tmp_path / manifests.NAME, "wb", buffering=0) as file:
        file.write(text[: len(text) // 2])
        time.sleep(A_WHILE)
        file.write(text[len(text) // 2 :])
    assert seen.wrong and "cannot be read as a manifest" in seen.wrong[0]


def test_old_files_that_go_before_the_new_manifest_comes_are_seen(datasets, tmp_path):
    old, new = datasets
    put_files(old, tmp_path)
    put_manifest(old, tmp_path)
    with watching(tmp_path) as seen:
        next(tmp_path.glob("day=*/*")).unlink()
        time.sleep(A_WHILE)
        put_files(new, tmp_path)
        put_manifest(new, tmp_path)
    assert seen.wrong and "is missing" in seen.wrong[0]
