"""From the start of a process to its first batch. Little is imported here: imports are timed."""

from __future__ import annotations

import time


def first_batch(root: str, content: bool, cores: int, begun: float) -> dict[str, float]:
    """Seconds until Python stood and all was imported, of `open_samples`, and of the first batch.

    `begun` is the time at which the process was asked for.
    """
    from benchmarks.feed.readers import BATCH, imports
    from intent.samples.reader import TrackFeed, open_samples

    imports()
    imported = time.time()
    manifest = open_samples(root, content)
    opened = time.time()
    batches = TrackFeed(root, manifest, manifest.schema, batch=BATCH).batches(0)
    next(batches)
    first = time.time()
    batches.close()
    return {
        "imports_s": imported - begun, "open_s": opened - imported, "batch_s": first - opened,
        "since_imports_s": first - imported, "all_s": first - begun,
    }  # fmt: skip
