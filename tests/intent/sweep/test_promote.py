"""The best run as a run directory of its own."""

from __future__ import annotations

import os

import pytest

from intent.sweep import promote as module
from intent.sweep.promote import promote
from intent.training.run_dir import read_run
from tests.support import small_training


@pytest.fixture
def source(tmp_path):
    run = small_training.run_at(
        tmp_path / "trials" / "0003", small_training.config(), small_training.manifest()
    ).open()
    run.model.write_bytes(b"weights")
    (run.checkpoints / "step-00000007").mkdir()
    (run.checkpoints / "step-00000007" / "arrays.npz").write_bytes(b"arrays")
    run.metrics.write_text("{}\n")
    return run.path


def test_it_is_a_run_that_takes_no_room(source, tmp_path):
    best = tmp_path / "best"
    assert promote(source, best)
    run = read_run(best)
    assert run.config == read_run(source).config and run.model.read_bytes() == b"weights"
    assert os.path.samefile(run.model, source / "model.keras")
    arrays = "checkpoints/step-00000007/arrays.npz"
    assert os.path.samefile(best / arrays, source / arrays)
    # what a later command writes into must not be the trial's own file
    assert not os.path.samefile(run.metrics, source / "metrics.jsonl")


def test_without_links_it_is_copied(source, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(module.os, "link", refuse)
    assert promote(source, tmp_path / "best")
    assert (tmp_path / "best" / "model.keras").read_bytes() == b"weights"
    assert not os.path.samefile(tmp_path / "best" / "model.keras", source / "model.keras")


def test_the_same_run_is_left_alone_and_another_replaces_it(source, tmp_path):
    best = tmp_path / "best"
    promote(source, best)
    (best / "report.html").write_text("mine")
    assert not promote(source, best) and (best / "report.html").exists()
    other = source.with_name("0004")
    source.rename(other)
    (other / "model.keras").write_bytes(b"better")
    assert promote(other, best)
    assert (best / "model.keras").read_bytes() == b"better"
    assert not (best / "report.html").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best", "trials"]
