"""A dataset that the feed and Petastorm's own readers can read, and what tests of both need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from intent.samples import layout
from intent.samples.feed import Batch
from intent.samples.reader import TrackFeed
from intent.samples.store import write_petastorm_metadata
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


def make_feed(root: Path, row_group: int, users: int = 6) -> TrackFeed:
    """A feed of a dataset that it builds at `root`, with the file that Petastorm opens it by."""
    manifest = build_samples(root, random_logs(users=users), row_group=row_group)
    schema = manifest.schema
    arrow, fields = layout.arrow_schema(schema), layout.unischema(schema)
    write_petastorm_metadata(str(root), arrow, fields, manifest.shards)
    return TrackFeed(root, manifest, schema, batch=24, seed=5, pool=64)


def units(feed: TrackFeed) -> dict[tuple[str, int], int]:
    """(shard, row group) -> its groups."""
    return {(s.path, g): n for s in feed.manifest.shards for g, n in enumerate(s.row_groups)}


def ids(batch: Batch) -> list[tuple[str, int]]:
    """(user, t0) of the real rows of a batch."""
    rows = zip(batch.users.tolist(), batch.times.tolist(), batch.weights, strict=True)
    return [(user, t0) for user, t0, weight in rows if weight]


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether it holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@contextmanager
def no_new_threads() -> Iterator[None]:
    """AssertionError where a thread that began inside lives on outside."""
    before = set(threading.enumerate())
    yield
    assert eventually(lambda: not set(threading.enumerate()) - before, 2), threading.enumerate()
