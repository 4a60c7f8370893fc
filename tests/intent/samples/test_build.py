"""A task: runs of buckets in, shards out; nothing half-made stays behind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent.config import SamplesConfig
from intent.features.encode import Limits
from intent.features.span import Span
from intent.samples.build import BuildPlan, run_task, whole_buckets
from intent.samples.quarantine import QUARANTINE
from intent.samples.runs import Places
from intent.schema import DAY_MS, PAPER
from tests.support.build import build_samples, runs_of
from tests.support.raw_logs import START, random_logs

SPAN = Span(START, START + 4 * DAY_MS)
PLACES = Places(16, np.zeros(1, np.int64))


@pytest.fixture(scope="module")
def logs():
    return random_logs(users=12)


@pytest.fixture
def runs(logs):
    return runs_of(logs, Limits(SPAN), PLACES)


def plan(root):
    return BuildPlan(str(root), PAPER, SPAN, SPAN, SamplesConfig(cuts_per_day=5), 16)


@pytest.mark.parametrize("size", [1, 2_000, 10**9])
def test_whole_buckets_never_splits_a_bucket(runs, size):
    chunks = list(whole_buckets(runs, size))
    assert pa.concat_tables(chunks).equals(pa.Table.from_batches(runs))
    seen = [set(c["bucket"].to_pylist()) for c in chunks]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert len(chunks) == {1: len(set.union(*seen)), 10**9: 1}.get(size, len(chunks))


def test_a_split_bucket_would_be_noticed(runs):
    whole = pa.Table.from_batches(runs)
    halves = [whole.slice(0, 1), whole.slice(1)]  # a bucket has a run of each table
    seen = [set(c["bucket"].to_pylist()) for c in halves]
    assert sum(map(len, seen)) > len(set.union(*seen))


def test_a_failing_task_leaves_no_file(tmp_path, logs):
    logs = {**logs, "tap": pd.concat([logs["tap"], logs["tap"].head(3).assign(event="?")])}
    runs = runs_of(logs, Limits(SPAN), PLACES)

    def batches():
        yield from runs[: len(runs) // 2]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run_task(batches(), plan(tmp_path))
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_task_that_runs_twice_writes_the_same_files(tmp_path, logs):
    logs = {**logs, "tap": pd.concat([logs["tap"], logs["tap"].head(30).assign(event="?")])}
    runs = runs_of(logs, Limits(SPAN), PLACES)
    first = run_task(runs, plan(tmp_path))
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    # The rows of a bucket come out of a shuffle in any order
    shuffled = pa.Table.from_batches(runs)
    order = np.random.default_rng(1).permutation(shuffled.num_rows)
    again = run_task(shuffled.take(order).sort_by("bucket").to_batches(7), plan(tmp_path))
    assert first == again
    assert files == sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert first.quarantined == {"tap/unknown_action": 30}
    kept = pq.read_table(tmp_path / first.quarantine_files[0])
    assert kept.num_rows == 30 and first.quarantine_files[0].startswith(QUARANTINE)


def test_cleaning_rules_drop_what_they_say_and_count_it(tmp_path):
    logs = random_logs(users=6)
    plain = build_samples(tmp_path / "plain", logs)
    browse = logs["browse"]
    received = browse.timestamp + 1000
    received[::50] += 7_200_000  # two hours late
    logs["browse"] = browse.assign(received=received)
    sorted_ = build_samples(tmp_path / "sorted", logs)
    assert sorted_.content_hash() == plain.content_hash()
    behind = sorted_.counted["out_of_order browse"]
    assert 0 < behind <= (received - browse.timestamp > 1000).sum()
    dropped = build_samples(tmp_path / "dropped", logs, out_of_order="drop")
    assert dropped.dropped["browse/out_of_order"] == behind
    assert dropped.used["browse"] == plain.used["browse"] - behind
    bots = build_samples(tmp_path / "bots", logs, bot_actions_per_minute=0.15, bot_least_actions=1)
    assert bots.counted["bots"] > 0 and bots.dropped["touch/bot"] > 0
    short = build_samples(tmp_path / "short", logs, min_actions=20)
    assert short.counted["short_cuts"] > 0
    assert short.groups == plain.groups - short.counted["short_cuts"]
    fewer = build_samples(tmp_path / "fewer", logs, negative_rate=0.3)
    assert fewer.groups == plain.groups - fewer.counted["undersampled_cuts"] < plain.groups
    positive = sum(s.positives["longterm"] for s in plain.shards)
    assert sum(s.positives["longterm"] for s in fewer.shards) == positive
    assert fewer.negative_rate == 0.3 and plain.negative_rate == 1.0
    doubled = {n: pd.concat([f, f.head(5)]) for n, f in logs.items()}
    kept = build_samples(tmp_path / "kept", doubled, drop_duplicates=False)
    assert kept.used["touch"] == plain.used["touch"] + 5 and "touch/duplicate" not in kept.dropped


def test_where_row_groups_end_depends_on_the_rows_of_their_day_alone(tmp_path, logs):
    small = build_samples(tmp_path / "a", logs, row_group=7, buckets=1)
    other = {n: f[f.timestamp < START + 2 * DAY_MS] if "timestamp" in f else f
             for n, f in logs.items()}  # fmt: skip
    fewer = build_samples(tmp_path / "b", other, row_group=7, buckets=1)
    first = small.days[0]
    assert small.only([first]).shards == fewer.only([first]).shards  # to the byte
    for shard in small.shards:
        assert len(shard.row_groups) > 1 and min(shard.row_groups[:-1]) >= 7
