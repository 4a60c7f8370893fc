"""Groups made from raw tables on the spot equal the stored ones: no drift between the two."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from intent.features.history import TIME_BITS, TIME_MASK
from intent.samples.moments import groups_at, life_of, seen_by
from intent.samples.reader import TrackFeed
from intent.schema import DAY_MS, PAPER
from tests.support.build import DICTIONARIES, build_samples
from tests.support.raw_logs import START, random_logs


def test_groups_from_raw_tables_equal_the_stored_ones(tmp_path):
    logs = random_logs(users=5)
    manifest = build_samples(tmp_path, logs)
    raw = {n: pa.Table.from_pandas(f, preserve_index=False) for n, f in logs.items()}
    life, bad = life_of(raw, manifest.schema, DICTIONARIES)
    assert bad == {}
    codes = {name: code for code, name in enumerate(life.users.to_pylist())}
    compared = 0
    for batch in TrackFeed(tmp_path, manifest, manifest.schema, batch=64, fusion=True).batches(0):
        real = batch.weights > 0
        users, times = np.array([codes[u] for u in batch.users[real]]), batch.times[real]
        unit = groups_at(life, users, times, manifest.schema)
        inputs = unit.inputs(np.arange(len(users)), fusion=True)
        assert set(inputs) == set(batch.inputs)
        for name, ids in inputs.items():
            assert ids.dtype == batch.inputs[name].dtype
            assert (ids == batch.inputs[name][real]).all(), name
            compared += ids.size
        later = groups_at(life, users, times + 3_600_000, manifest.schema)
        changed = later.inputs(np.arange(len(users)))["browse"]
        assert (
            changed != batch.inputs["browse"][real]
        ).any()  # negative control: the moment matters
    assert compared > 10_000


def test_a_row_with_a_wrong_clock_changes_nothing_but_its_own_count(tmp_path):
    """It once moved the beginning of the logs by years, and with it all of the history."""
    logs = random_logs(users=3)
    stray = logs["browse"].head(1).assign(timestamp=START - 2_000 * DAY_MS)
    dirty = logs | {"browse": pd.concat([logs["browse"], stray])}
    ids = []
    for tables in (logs, dirty):
        raw = {n: pa.Table.from_pandas(f, preserve_index=False) for n, f in tables.items()}
        life, bad = life_of(raw, PAPER, DICTIONARIES)
        unit = groups_at(life, np.arange(3), np.full(3, START + 3 * DAY_MS), PAPER)
        ids.append(unit.inputs(np.arange(3)))
    assert bad == {"outside_span": 1}
    assert all((ids[0][name] == ids[1][name]).all() for name in ids[0])
    assert (ids[0]["history"] > 1).any()
    # negative control: where the logs begin does matter
    life, _ = life_of(raw, PAPER, DICTIONARIES, start=START - 3_000 * DAY_MS)
    moved = groups_at(life, np.arange(3), np.full(3, START + 3 * DAY_MS), PAPER)
    assert (moved.inputs(np.arange(3))["history"] != ids[0]["history"]).any()


def test_users_are_seen_from_their_first_action_on():
    logs = random_logs(users=3)
    raw = {n: pa.Table.from_pandas(f, preserve_index=False) for n, f in logs.items()}
    life, _ = life_of(raw, PAPER, DICTIONARIES)
    assert seen_by(life, START - 1).tolist() == []
    assert seen_by(life, START + 10**12).tolist() == [0, 1, 2]


def test_windows_reach_back_to_the_start_of_the_session_and_no_further():
    logs = random_logs(users=3, per_day=60)
    raw = {n: pa.Table.from_pandas(f, preserve_index=False) for n, f in logs.items()}
    life, _ = life_of(raw, PAPER, DICTIONARIES)
    rng, gap = np.random.default_rng(0), 20 * 60_000
    users, times = rng.integers(0, 3, 200), START + rng.integers(0, 4 * DAY_MS, 200)
    whole = groups_at(life, users, times, PAPER)
    unit = groups_at(life, users, times, PAPER, session_gap_ms=gap)
    shorter = 0
    for i, (user, at) in enumerate(zip(users, times, strict=True)):
        own = {n: k[k >> TIME_BITS == user] & TIME_MASK for n, k in life.keys.items()}
        begin = at + 1
        for time in sorted(np.concatenate(list(own.values())).tolist(), reverse=True):
            if time <= at:
                if begin <= at and begin - time > gap:
                    break
                begin = time
        for name, theirs in own.items():
            seen = unit.end[name][i] - unit.low[name][i]
            assert seen == ((theirs >= begin) & (theirs <= at)).sum()
            assert unit.end[name][i] == whole.end[name][i]
            shorter += seen < whole.end[name][i] - whole.low[name][i]
    assert shorter > 200  # of 600 windows: the rule does something here
    assert (unit.history == whole.history).all()


def test_the_device_cleans_as_the_samples_were_cleaned_but_calls_nobody_a_bot():
    from intent.config import SamplesConfig

    logs = random_logs(users=2)
    logs["tap"] = pd.concat([logs["tap"], logs["tap"]])
    timer = pd.DataFrame({
        "user_id": "timer", "timestamp": START + 1000 * np.arange(300) + 7 * (np.arange(300) % 2),
        "type": "browse",
    })  # fmt: skip
    logs["browse"] = pd.concat([logs["browse"], timer])
    raw = {n: pa.Table.from_pandas(f, preserve_index=False) for n, f in logs.items()}
    plain, _ = life_of(raw, PAPER, DICTIONARIES)
    assert "timer" in plain.users.to_pylist()
    keeping = SamplesConfig(drop_duplicates=False)
    kept, _ = life_of(raw, PAPER, DICTIONARIES, settings=keeping)
    assert len(kept.keys["tap"]) == 2 * len(plain.keys["tap"])
