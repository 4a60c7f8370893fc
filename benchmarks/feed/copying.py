"""How fast does this core copy memory? The limit of whoever delivers batches as fresh arrays."""

from __future__ import annotations

import time

import numpy as np

KINDS = {
    "memory": "from a source as large as an epoch into 16 buffers of a batch in turn",
    "fresh": "the same, but each batch goes into a newly allocated array, as a batch does",
    "cache": "one batch into one buffer, again and again: both stay in the cache if they fit",
}
BUFFERS = 16
ROUNDS = 5


def rates(batch_bytes: int, source_bytes: int, seconds: float, cores: int, begun: float) -> dict:
    """Bytes a second of each kind of copy, the fastest of a few rounds of `seconds` each."""
    batches = max(source_bytes // batch_bytes, 1)
    source = np.ones((batches, batch_bytes), np.uint8)
    buffers = np.ones((BUFFERS, batch_bytes), np.uint8)

    def memory(i: int) -> None:
        np.copyto(buffers[i % BUFFERS], source[i % batches])

    def fresh(i: int) -> None:
        np.copyto(np.empty(batch_bytes, np.uint8), source[i % batches])

    def cache(i: int) -> None:
        np.copyto(buffers[0], source[0])

    found = {}
    for copy in (memory, fresh, cache):
        best, at = 0.0, 0
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            first = at
            while (took := time.perf_counter() - begin) < seconds:
                copy(at)
                at += 1
            best = max(best, (at - first) * batch_bytes / took)
        found[copy.__name__] = best
    return found
