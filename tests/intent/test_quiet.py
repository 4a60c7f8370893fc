"""TensorFlow comes without remarks, and without the packages that Keras would load for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from intent.quiet import unseen

LOAD = """
import sys
from intent.quiet import quiet_tensorflow
quiet_tensorflow()
import keras
keras.layers.Dense(1)(keras.ops.ones((2, 3)))
print([name for name in ("sklearn", "matplotlib") if name in sys.modules])
import matplotlib.pyplot, sklearn.metrics
"""


def test_an_unseen_package_is_as_if_not_installed_and_then_there_again(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("needless_a", "needless_b"):
        (tmp_path / f"{name}.py").write_text("here = True")
    import needless_a

    with unseen("needless_a", "needless_b"):
        import needless_a as still

        with pytest.raises(ImportError):
            import needless_b
    import needless_b

    assert still is needless_a and needless_b.here
    for name in ("needless_a", "needless_b"):
        del sys.modules[name]


@pytest.mark.slow
def test_tensorflow_comes_without_remarks_and_without_what_we_do_not_use():
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
