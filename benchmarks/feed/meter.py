"""Time, CPU seconds and memory of a stream of batches, the same for every reader."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

Stream = Callable[[int], Iterable[int]]  # epoch -> groups of each of its batches


def whole(stream: Stream, epochs: int) -> dict:
    """Reads `epochs` epochs to their ends; every clock starts at the first `next`."""
    found = []
    for epoch in range(epochs):
        cpu, begun, first, groups = time.process_time(), time.perf_counter(), None, 0
        for n in stream(epoch):
            first = first or time.perf_counter() - begun
            groups += n
        seconds = time.perf_counter() - begun
        found.append(
            {"groups": groups, "seconds": seconds, "first_s": first, "rate": groups / seconds,
             "cpu_s": time.process_time() - cpu}
        )  # fmt: skip
    return {"epochs": found, **memory()}


def part(stream: Stream, seconds: float, least: int) -> dict:
    """Reads until `seconds` are over and `least` groups were read, or the epoch ends.

    The clock starts when the first batch is there, so the start does not count.
    """
    batches = iter(stream(0))
    begun = time.perf_counter()
    next(batches)
    first, cpu = time.perf_counter(), time.process_time()
    groups, now = 0, first
    for n in batches:
        groups, now = groups + n, time.perf_counter()
        if now - first >= seconds and groups >= least:
            break
    cpu = time.process_time() - cpu
    if groups < least:
        raise RuntimeError(f"the data had only {groups} groups to read, {least} are needed")
    rate = groups / (now - first)
    took = {"groups": groups, "seconds": now - first, "first_s": first - begun, "rate": rate}
    return {"epochs": [took | {"cpu_s": cpu}], **memory()}


def memory() -> dict[str, float]:
    """MiB resident now, and the most there ever were; and the cores that this process may use."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    kib = {name: int(found[name].split()[0]) for name in ("VmRSS", "VmHWM")}
    mib = {"rss_mib": kib["VmRSS"] / 1024, "peak_mib": kib["VmHWM"] / 1024}
    return mib | {"cores": len(os.sched_getaffinity(0))}
