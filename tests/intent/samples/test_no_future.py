"""Nothing after a cut is in its input: logs that end at the cut give the same groups."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from intent.config import SamplesConfig
from intent.features.tables import EVENT_TABLES
from intent.samples.moments import groups_at, life_of
from intent.samples.reader import TrackFeed
from tests.support.build import DICTIONARIES, build_samples
from tests.support.raw_logs import START, random_logs


def inputs_of(logs: dict, user: str, at: int, end: int, manifest) -> dict[str, np.ndarray]:
    """The group of a user at a moment, made from logs that end with `end`."""
    raw = {
        name: pa.Table.from_pandas(
            frame[frame.timestamp <= end] if name in EVENT_TABLES else frame, preserve_index=False
        )
        for name, frame in logs.items()
    }
    settings = SamplesConfig(**manifest.settings)
    life, _ = life_of(raw, manifest.schema, DICTIONARIES, START, settings)
    code = life.users.to_pylist().index(user)
    unit = groups_at(life, np.array([code]), np.array([at]), manifest.schema)
    return unit.inputs(np.array([0]))


@pytest.mark.parametrize("exclude", [[], ["browse.type=purchase"]])
def test_logs_that_end_at_the_cut_give_the_group_that_was_stored(tmp_path, exclude):
    logs = random_logs(users=3)
    manifest = build_samples(tmp_path, logs, exclude=exclude)
    batch = next(TrackFeed(tmp_path, manifest, manifest.schema, batch=24, seed=2).batches(0))
    earlier = 0
    for i in np.flatnonzero(batch.weights > 0):
        user, at = batch.users[i], int(batch.times[i])
        same = inputs_of(logs, user, at, at, manifest)
        for name, ids in same.items():
            assert (ids[0] == batch.inputs[name][i]).all(), name
        less = inputs_of(logs, user, at, at - 1, manifest)  # without the action at the cut itself
        earlier += any((ids[0] != batch.inputs[name][i]).any() for name, ids in less.items())
    assert earlier >= 20  # negative control
