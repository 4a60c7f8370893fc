"""What a step gives does not depend on how many ranks compute it, nor on how gradients travel."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cluster.launch import launch_here
from intent.training import touched
from intent.training.comm import Solo
from tests.support import reduction_job as job

ROOT = Path(__file__).parents[3]
ENV = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
NEVER, ALWAYS = ({"sparse_embeddings": how} for how in ("never", "always"))

needs_horovod = pytest.mark.skipif(
    importlib.util.find_spec("horovod") is None, reason="Horovod is not installed (make setup)"
)


@pytest.fixture(autouse=True, scope="module")
def _as_it_was():
    """The job changes it, here too."""
    before = touched.LEAST_BYTES
    yield
    touched.LEAST_BYTES = before


def on_two(folder: Path, *wanted: dict) -> list[dict]:
    (folder / "wanted").write_text(json.dumps(wanted))
    argv = [sys.executable, "-m", "tests.support.reduction_job"]
    outcome = launch_here(2, [*argv, str(folder / "wanted"), str(folder / "found")], ENV)
    assert (outcome.status, outcome.reason) == (0, "")
    found = json.loads((folder / "found").read_text())
    for one in found:
        assert one["digest"][0] == one["digest"][1], "ranks have other weights"
        assert one["flags"] == [[1, 2]] * len(one["flags"])
    return found


def gap(one: dict, other: dict) -> float:
    pairs = zip(one["weights"], other["weights"], strict=True)
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)


def counted(one: dict) -> int:
    return int(np.abs(np.asarray(one["counts"])).sum())


@pytest.fixture(scope="module")
def alone() -> dict:
    found = job.steps({}, Solo())
    assert found["bytes"] == [0] * len(found["bytes"])
    return found


@pytest.mark.slow
@needs_horovod
def test_two_ranks_give_about_what_one_gives_with_gradients_in_16_bits(tmp_path, alone):
    """And with the rows of the larger table that a step touches."""
    (coarse,) = on_two(tmp_path, {"train": {"compression": "float16", **ALWAYS}})
    assert coarse["losses"] == pytest.approx(alone["losses"], rel=1e-3)
    assert 0 < gap(coarse, alone) < 1e-2
    assert counted(coarse) == counted(alone) == job.GROUPS * 2


@needs_horovod
@pytest.mark.slow
def test_two_ranks_with_every_setting(tmp_path, alone):
    both = {"compression": "bfloat16", "micro_batches": 2, **ALWAYS}
    clip = {"clip_norm": 0.01}
    settings = [ALWAYS, NEVER, both, {"micro_batches": 3}, clip]
    sparse, dense, coarse, pieces, clipped, buckets = on_two(
        tmp_path, *({"train": each} for each in settings), {"bucket_bytes": 500}
    )
    assert dense["digest"] == sparse["digest"] and dense["losses"] == sparse["losses"]
    assert dense["bytes"] != sparse["bytes"]
    assert sparse["losses"] == pytest.approx(alone["losses"], abs=1e-6)
    assert coarse["losses"] == pytest.approx(alone["losses"], rel=1e-3)
    for found in (dense, pieces, buckets):
        assert gap(found, alone) < 1e-6
    alone_clipped = job.steps(clip, Solo())
    assert gap(clipped, alone_clipped) < 1e-6
    assert gap(alone, alone_clipped) > 1e-4


@pytest.mark.parametrize("pieces", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_pieces_give_what_the_whole_gives(pieces, alone):
    """16 groups in 3 pieces do not come out even, and 100 pieces are more than there are groups."""
    cut = job.steps({"micro_batches": pieces}, Solo())
    assert cut["losses"] == pytest.approx(alone["losses"], abs=1e-6)
    np.testing.assert_array_equal(cut["counts"], alone["counts"])
    assert gap(cut, alone) < 1e-5
