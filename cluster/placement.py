"""Which task of a shuffle a row goes to: Spark's hash partitioning, computed before Spark does.

`repartition(n, column)` sends a long to the task `murmur3(long, seed 42) mod n`. That leaves some
tasks twice the work of others where there are few buckets. So rows carry a number that is chosen
for the task that it leads to.
"""

from __future__ import annotations

import numpy as np

_SEED = 42
_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)


def spark_task(values: np.ndarray, tasks: int) -> np.ndarray:
    """The task to which `repartition(tasks, column)` sends each int64, [n] in [0, tasks)."""
    bits = np.asarray(values, np.int64).view(np.uint64)
    low = (bits & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    high = (bits >> np.uint64(32)).astype(np.uint32)
    with np.errstate(over="ignore"):
        h = _mix(_mix(np.full(len(bits), _SEED, np.uint32), low), high)
        h ^= np.uint32(8)  # bytes
        h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return h.view(np.int32).astype(np.int64) % tasks


def _mix(h: np.ndarray, k: np.ndarray) -> np.ndarray:
    k = k * _C1
    k = ((k << np.uint32(15)) | (k >> np.uint32(17))) * _C2
    h = h ^ k
    h = (h << np.uint32(13)) | (h >> np.uint32(19))
    return h * np.uint32(5) + np.uint32(0xE6546B64)


def keys_of_tasks(tasks: int) -> np.ndarray:
    """For each task a number that Spark sends to it, int64 [tasks]."""
    found = np.full(tasks, -1, np.int64)
    start, step = 0, max(1024, 4 * tasks)
    while (found < 0).any():
        numbers = np.arange(start, start + step)
        task, first = np.unique(spark_task(numbers, tasks), return_index=True)
        new = found[task] < 0
        found[task[new]] = numbers[first[new]]
        start += step
    return found
