"""The kernels' sums: the same bits for any number of threads, close ones for any instructions."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from intent.models import kernels
from intent.models.bigru import BiGRU
from intent.models.inter_view import InterViewAttention
from tests.intent.models.kernels.test_kernels import COUNTS, both, needs_kernels, windows

pytestmark = needs_kernels


def bits(portable: bool = False) -> str:
    """A hash of outputs and gradients, of the kernels or of `keras.ops`."""
    counts = [min(n, 40) for n in COUNTS * 3]
    digest = hashlib.sha256()
    for layer, parts in ((BiGRU(7), 1), (InterViewAttention(), 2)):
        inputs = [t for seed in range(parts) for t in windows(counts, 40, 6, seed)]
        outputs, gradients = both(layer, inputs, inputs[::2])[0 if portable else 1]
        for t in [*outputs, *gradients]:
            digest.update(np.asarray(t).tobytes())
    return digest.hexdigest()


def lanes_here() -> str:
    """How many numbers the chosen instruction set takes at a time."""
    return str(kernels.operators().intent_abilities().lanes.numpy())


APART = """
import sys
from intent.quiet import quiet_tensorflow
quiet_tensorflow()
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from tests.intent.models.kernels.test_bits import bits, lanes_here
print(lanes_here(), bits())
"""


def run_apart(threads: int, instructions: str = "") -> list[str]:
    """Lanes and the hash, from another process."""
    environment = os.environ | {"INTENT_KERNELS": instructions, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", APART, str(threads)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_the_same_bits_for_any_number_of_threads():
    """Here TensorFlow takes as many threads as there are cores."""
    here = [lanes_here(), bits()]
    assert here == run_apart(1 if len(os.sched_getaffinity(0)) > 1 else 5)
    assert here[1] != bits(portable=True), "negative control: other sums have other bits"


@pytest.mark.slow
@pytest.mark.parametrize("instructions, lanes", [("baseline", "4"), ("avx2", "8")])
def test_every_instruction_set_computes_the_same(instructions, lanes):
    """Some of these very tests, in a process held to another set than the best."""
    found = run_apart(5, instructions)
    if found[0] != lanes:
        pytest.skip(f"this processor has no {instructions}")
    assert found[0] == lanes_here() or found[1] != bits(), "other sums have other bits"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        + [str(Path(__file__).with_name("test_kernels.py"))]
        + ["-k", "40-7-20 or 9-5-3 or lookup"],
        env=os.environ | {"INTENT_KERNELS": instructions},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
