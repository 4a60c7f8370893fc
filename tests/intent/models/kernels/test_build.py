"""Compiling once, or saying in one line why not; the model runs either way."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from intent.errors import UsageError
from intent.models import kernels
from intent.models.kernels import build

SCORE = """
import logging; logging.basicConfig()
from intent.models import kernels
from intent.models.bigru import BiGRU
import numpy as np
h, *_ = BiGRU(2)(np.ones((1, 3, 2), np.float32), np.ones((1, 3), bool))
print(h.shape, kernels.operators() is None)
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty cache, and a compiler that is not there."""
    monkeypatch.setenv("INTENT_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    return tmp_path


def test_without_a_compiler_the_model_runs_and_says_so(elsewhere):
    done = subprocess.run(
        [sys.executable, "-c", SCORE], capture_output=True, text=True, env=os.environ
    )
    assert done.stdout.split("\n")[0] == "(1, 3, 4) True"
    assert "runs without its CPU kernels" in done.stderr and "no-such-compiler" in done.stderr


def test_what_failed_is_not_tried_again_until_it_is_asked_for(elsewhere, monkeypatch):
    with pytest.raises(build.BuildError, match="no-such-compiler"):
        build.build()
    monkeypatch.setenv("CXX", "/bin/false")
    with pytest.raises(build.BuildError, match="no-such-compiler"):
        build.build()
    build.forget()
    with pytest.raises(build.BuildError, match="/bin/false failed"):
        build.build()


def test_nothing_half_made_is_left(elsewhere, monkeypatch):
    monkeypatch.setenv("CXX", "/bin/false")
    with pytest.raises(build.BuildError):
        build.build()
    assert {p.suffix for p in build.cache_folder().iterdir()} == {".lock", ".failed"}


def test_a_cache_that_cannot_be_written_is_an_error_of_one_line(elsewhere, monkeypatch):
    file = elsewhere / "file"
    file.touch()
    monkeypatch.setenv("INTENT_CACHE", str(file))
    with pytest.raises(build.BuildError, match="cannot write"):
        build.build()


def test_nowhere_to_keep_them_says_what_to_set(monkeypatch):
    """As for a container's user without a name: pathlib finds no home for it."""
    monkeypatch.setenv("INTENT_CACHE", "~no-such-user/cache")
    with pytest.raises(build.BuildError, match="set INTENT_CACHE"):
        build.build()


TOGETHER = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from intent.models import kernels
barrier = Barrier(4)
def ask(_):
    barrier.wait()
    return kernels.operators()
with ThreadPoolExecutor(4) as pool:
    print(len(set(map(id, pool.map(ask, range(4))))))
"""


def test_threads_that_ask_at_once_get_the_same_operators():
    done = subprocess.run([sys.executable, "-c", TOGETHER], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr[-2000:]


def test_another_source_is_another_library(elsewhere, monkeypatch):
    before = build.library()
    monkeypatch.setitem(build.SETS, "avx2", ["-mavx2"])
    assert build.library() != before
    assert "-2." in before.name


def test_an_unknown_instruction_set_is_an_error_that_names_the_known_ones(monkeypatch):
    monkeypatch.setenv("INTENT_KERNELS", "AVX2")
    with pytest.raises(UsageError, match="INTENT_KERNELS=AVX2: expected 0 or one of .*avx2"):
        kernels._operators.__wrapped__()
