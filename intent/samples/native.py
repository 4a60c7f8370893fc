"""The compiled form of what reading does most often, where it was built (`setup.py`).

There is always a NumPy form, too: on a platform without a compiler, or from a .zip, that one runs.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache

import numpy as np


@cache
def slices() -> ctypes.CDLL | None:
    """The functions of _slices.c, which run without Python's lock; None where it was not built."""
    spec = importlib.util.find_spec("intent.samples._slices")
    try:
        return ctypes.CDLL(spec.origin) if spec and spec.origin else None
    except OSError:  # built for another machine
        return None


def call(function, *arguments: np.ndarray | int) -> None:
    """Call a function of C with arrays as pointers and numbers as int64.

    Raises:
        ValueError: an array is not in C order.
    """
    given = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            if not argument.flags.c_contiguous:
                raise ValueError("an array is not in C order")
            given.append(ctypes.c_void_p(argument.ctypes.data))
        else:
            given.append(ctypes.c_int64(argument))
    function(*given)
