"""What the GPU part says without a GPU, and what arithmetic it counts."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.step import flops, gpu
from intent.config import ModelConfig
from intent.schema import PAPER
from tests.intent.groups import small_schema

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "train_step.py"


@pytest.mark.skipif(gpu.gpu_name() is not None, reason="there is a GPU here")
def test_without_a_gpu_it_says_so_and_measures_nothing(tmp_path):
    out = tmp_path / "out.json"
    command = [sys.executable, str(SCRIPT), "--gpu", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "no GPU to measure on" in done.stderr and len(done.stderr.splitlines()) == 1
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["figures"] == [] and result["gpu"] is None
    assert json.loads(out.read_text()) == result


def test_the_arithmetic_of_the_default_model():
    parts = flops.per_group(PAPER, ModelConfig())
    assert parts["inter_view"] == 3 * 3 * 2 * 256 * 256 * 64
    assert parts["bigru"] == 3 * 2 * 256 * 2 * (32 + 32) * 96
    assert 3e8 < flops.TRAINING * sum(parts.values()) < 6e8
    wide = flops.per_group(PAPER, ModelConfig(position_width=None))
    assert parts["head"] < wide["head"] / 2


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch lives in an environment of its own")
def test_the_step_runs_on_the_backend():
    found = gpu.measure("torch", small_schema(length=6), (4,), 0.0, 64)
    assert found["mixed"]["runs"][4]["groups"] >= 4 and found["float32"]["peak"] > 0
