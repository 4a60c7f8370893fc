"""What tests of faults need, and say when it is not there."""

from __future__ import annotations

import importlib.util

import pytest

needs_horovod = pytest.mark.skipif(
    importlib.util.find_spec("horovod") is None, reason="Horovod is not installed (make setup)"
)
