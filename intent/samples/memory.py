"""What becomes of memory that is freed: kept for the next row group, given back after an epoch.

Threads come and go with every epoch. Arrow's own allocators then hold on to more and more, and the
C library to what each of its arenas once had: in 20 epochs of 86,000 groups a process grew by half.
Nothing is lost, but it may not fit. All of this concerns the whole process.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

import numpy as np
import pyarrow as pa


@cache
def steady() -> None:
    """Have Arrow take its memory from the C library, which can be asked to give back (`give_back`).

    Arrow's functions must be told (`memory_pool=pa.default_memory_pool()`), else they take another.
    Who sets ARROW_DEFAULT_MEMORY_POOL keeps their choice.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())


def keep() -> None:
    """Have the C library keep memory that is freed, for the next row group.

    glibc hands large blocks back at once, until one larger still was freed (up to 32 MiB, see
    mallopt(3)). Fresh pages take about a third of the time of decoding.
    """
    np.empty(31 << 20, np.uint8)


def give_back() -> None:
    """Have the C library give back what it kept; at the end of an epoch, when little is in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
