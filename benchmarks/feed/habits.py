"""What our feed does besides being fast: memory over epochs, shuffle, where the time goes."""

from __future__ import annotations

import cProfile
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from benchmarks.feed import meter, mixing
from benchmarks.feed.data import ROOT
from benchmarks.feed.readers import BATCH, feed
from benchmarks.samples.profiles import worker_seconds
from intent.samples import manifest as manifests
from intent.samples.rowgroups import read_row_groups
from intent.samples.units import needed_columns, read_unit
from intent.schema import DAY_MS


def memory(root: str, epochs: int, cores: int, begun: float) -> dict:
    """MiB resident after each epoch, and the most there ever were; nothing is collected by hand."""
    source, after = feed(root), []
    for epoch in range(epochs):
        for _ in source.batches(epoch):
            pass
        after.append(meter.memory()["rss_mib"])
    return {"rss_mib": after, "peak_mib": meter.memory()["peak_mib"]}


def delivered(root: str, cores: int, begun: float) -> dict[str, float]:
    """Bytes of a group in a batch: its inputs and labels."""
    batch = next(iter(feed(root).batches(0)))
    arrays = [*batch.inputs.values(), batch.labels]
    return {"bytes": sum(a.nbytes for a in arrays) / len(batch.labels)}


def shuffle(root: str, pools: list[int], cores: int, begun: float) -> dict[str, dict]:
    """`mixing.quality` of an epoch by the size of the pool, and of the order on disk ("none")."""
    user, at = _on_disk(root)
    found = {"none": _quality(user, at, user, at)}
    for pool in pools:
        found[str(pool)] = _quality(*_stream(root, pool=pool), user, at)
    return found


def _on_disk(root: str) -> tuple[np.ndarray, np.ndarray]:
    """User and time of every group, as they lie in the shards."""
    manifest = manifests.load(root)
    items = [(s.path, g) for s in manifest.shards for g in range(len(s.row_groups))]
    schema = manifest.schema.keep(["profile"])
    tables = read_row_groups(root, items, needed_columns(schema))
    units = [read_unit(table, manifest.schema, schema) for table in tables]
    users = np.concatenate([unit.users for unit in units])
    return users.astype(str), np.concatenate([unit.at for unit in units])


def _stream(root: str, **options) -> tuple[np.ndarray, np.ndarray]:
    batches = [(b.users[b.weights > 0], b.times[b.weights > 0])
               for b in feed(root, **options).batches(0)]  # fmt: skip
    users, times = zip(*batches, strict=True)
    return np.concatenate(users).astype(str), np.concatenate(times)


def _quality(users, times, disk_users, disk_times) -> dict[str, float]:
    """`mixing.quality` of a stream, given the order on disk; a user has one group at a time."""
    names = np.unique(disk_users)
    number, disk_number = np.searchsorted(names, users), np.searchsorted(names, disk_users)
    place = np.empty(len(users), np.int64)
    place[np.lexsort((times, number))] = np.lexsort((disk_times, disk_number))  # place on disk
    day = times // DAY_MS
    return mixing.quality(number, day - day.min(), place, BATCH)


def profile(root: str, cores: int, begun: float) -> dict[str, dict[str, float]]:
    """CPU seconds of an epoch: "threads" by name, without the profiler; "functions" of ours."""
    source = feed(root)
    threads = _by_thread(lambda: (None for _ in source.batches(0)))
    start = threading.Thread.start
    with tempfile.TemporaryDirectory() as folder:

        def profiled(thread: threading.Thread) -> None:
            run, watch = thread.run, cProfile.Profile(time.thread_time)

            def whole() -> None:
                watch.runcall(run)
                watch.dump_stats(Path(folder) / f"{id(watch)}.prof")

            thread.run = whole
            start(thread)

        threading.Thread.start = profiled
        try:
            for _ in source.batches(1):
                pass
        finally:
            threading.Thread.start = start
        functions = worker_seconds(Path(folder), ROOT)
    return {"threads": threads, "functions": functions}


def _by_thread(stream: Callable) -> dict[str, float]:
    """CPU seconds of Python's threads by kind, looked up after every batch; "others": no names."""
    process, before = psutil.Process(), time.process_time()
    begin = {t.id: t.user_time + t.system_time for t in process.threads()}
    spent: dict[int, tuple[str, float]] = {}
    for step, _ in enumerate(stream()):
        if step % 16 == 0:
            names = {t.native_id: t.name.split("-")[0] for t in threading.enumerate()}
            for t in process.threads():
                took = t.user_time + t.system_time - begin.get(t.id, 0.0)
                spent[t.id] = names.get(t.id, "others"), took
    total: dict[str, float] = {}
    for name, seconds in spent.values():
        total[name] = total.get(name, 0.0) + seconds
    return total | {"all": time.process_time() - before}
