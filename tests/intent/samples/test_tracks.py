"""Windows sliced from tracks are the windows that a naive reading of the raw events gives."""

from __future__ import annotations

import numpy as np
import pytest

from intent.features.history import TIME_BITS, key
from intent.samples import cuts as cutting
from intent.samples.reader import TrackFeed, open_samples
from intent.schema import DAY_MS, PAPER
from tests.support.build import NAMES, build_samples
from tests.support.raw_logs import START, naive_group, random_logs

LENGTH = 16


@pytest.fixture(scope="module")
def logs():
    return random_logs()


@pytest.fixture(scope="module")
def samples(tmp_path_factory, logs):
    root = tmp_path_factory.mktemp("samples")
    return root, build_samples(root, logs, length=LENGTH)


def groups(root, manifest):
    """Every group as (user, t0, inputs of that group, labels)."""
    feed = TrackFeed(root, manifest, manifest.schema, batch=50, shuffle=False)
    for batch in feed.batches(0):
        for i in np.flatnonzero(batch.weights):
            inputs = {name: values[i] for name, values in batch.inputs.items()}
            yield batch.users[i], int(batch.times[i]), inputs, batch.labels[i].tolist()


def same_window(got: np.ndarray, expected: list, view: str, exact: bool) -> bool:
    real = int((got[:, PAPER.view(view).marker_column] > 0).sum())
    if real != len(expected) or got[real:].any():
        return False
    rows = [tuple(r) for r in got[:real].tolist()]
    want = [ids for _, ids in expected]
    return rows == want if exact else sorted(rows) == sorted(want)


def test_windows_from_tracks_equal_naive_windows_from_raw_events(samples, logs):
    root, manifest = samples
    checked = exact = overflowing = 0
    for user, t0, inputs, labels in groups(root, manifest):
        expected = naive_group(logs, NAMES, user, t0, LENGTH)
        assert labels == expected["labels"]
        assert inputs["history"].tolist() == expected["history"]
        for view in ("swipe", "tap", "browse"):
            times = [t for t, _ in expected[view]]
            # At one millisecond any order is right, and so is which of them falls out of the window
            tie = len(set(times)) < len(times) or _tie_at_edge(logs, view, user, t0, times)
            if not tie:
                assert same_window(inputs[view], expected[view], view, exact=True), (view, user, t0)
                exact += 1
            overflowing += len(times) == LENGTH
        checked += 1
    assert checked == manifest.groups > 100
    assert exact > 200 and overflowing > 100  # the test did look at full windows


def _tie_at_edge(logs, view, user, t0, times) -> bool:
    table = logs[{"swipe": "touch"}.get(view, view)]
    all_times = table[(table.user_id == user) & (table.timestamp <= t0)].timestamp
    return bool(times) and int((all_times == times[0]).sum()) > 1


def test_the_comparison_notices_a_wrong_window(samples, logs):
    root, manifest = samples
    user, t0, inputs, _ = next(g for g in groups(root, manifest) if (g[2]["tap"] > 0).any())
    expected = naive_group(logs, NAMES, user, t0, LENGTH)["tap"]
    assert same_window(inputs["tap"], expected, "tap", exact=False)
    inputs["tap"][0, 0] += 1
    assert not same_window(inputs["tap"], expected, "tap", exact=False)


def test_nothing_after_the_cut_is_in_a_group(tmp_path, logs):
    """Events after t0 may change labels, never inputs: the check against leaks."""
    t0 = START + 2 * DAY_MS
    later = {
        name: frame[frame.timestamp <= t0] if "timestamp" in frame else frame
        for name, frame in logs.items()
    }
    full = {(u, t): i for u, t, i, _ in groups(tmp_path / "a", build_samples(tmp_path / "a", logs))}
    past = {
        (u, t): i for u, t, i, _ in groups(tmp_path / "b", build_samples(tmp_path / "b", later))
    }
    both = [k for k in past if k in full and k[1] <= t0]
    assert len(both) > 30
    for k in both:
        assert all((past[k][name] == full[k][name]).all() for name in past[k])


def test_the_content_does_not_depend_on_buckets_or_row_groups(tmp_path, logs, samples):
    for i, (buckets, row_group) in enumerate([(3, 5), (1000, 10_000)]):
        other = build_samples(
            tmp_path / str(i), logs, length=LENGTH, buckets=buckets, row_group=row_group
        )
        assert other.content_hash() == samples[1].content_hash()
    changed = build_samples(tmp_path / "c", logs, length=LENGTH, seed=4)
    assert changed.content_hash() != samples[1].content_hash()  # the hash does notice


def test_duplicates_are_dropped_and_counted(tmp_path, logs, samples):
    import pandas as pd

    doubled = {name: pd.concat([frame, frame.head(4)]) for name, frame in logs.items()}
    manifest = build_samples(tmp_path, doubled, length=LENGTH)
    assert manifest.content_hash() == samples[1].content_hash()
    assert manifest.dropped == {f"{name}/duplicate": 4 for name in logs}
    for name, frame in doubled.items():
        assert manifest.used[name] + manifest.dropped[f"{name}/duplicate"] == len(frame)


def test_a_purchase_at_the_cut_is_input_and_the_horizon_is_closed():
    cut = key(np.array([1, 1, 1, 1]), np.array([100, 101, 100 + 3_600_000, 5]))
    bought = key(np.array([0, 1]), np.array([50, 101 + 3_600_000]))
    got = cutting.labels(np.sort(cut), bought, PAPER.tasks)
    # sorted: 5, 100, 101, 3600100; bought at 101 + 1 h
    assert got.tolist() == [[0, 1], [0, 1], [1, 1], [1, 1]]
    assert cutting.labels(bought[1:], bought, PAPER.tasks).tolist() == [[0, 0]]


def test_cuts_are_keyed_by_user_and_day_and_censored_at_the_end_of_observation():
    moments = np.concatenate([key(u, START + np.arange(0, 3 * DAY_MS, 600_000)) for u in (0, 1)])
    hashes = np.array([7, 8], np.uint64)
    drawn = cutting.draw(moments, hashes, 10, seed=1)
    assert len(drawn) == 2 * 3 * 10
    alone = cutting.draw(moments[moments >> TIME_BITS == 1] - (1 << TIME_BITS), hashes[1:], 10, 1)
    assert (drawn[30:] - (1 << TIME_BITS) == alone).all()  # whoever else is there
    one_day = moments[:144]
    assert (cutting.draw(one_day, hashes, 10, 1) == drawn[:10]).all()  # whatever days follow
    assert (cutting.draw(moments, hashes, 10, 2) != drawn).any()
    end = START + 3 * DAY_MS
    kept = drawn[cutting.observed(drawn, end, PAPER.tasks)]
    assert 0 < len(kept) < len(drawn)
    assert ((kept & (2**TIME_BITS - 1)) + DAY_MS < end).all()


def test_the_lowest_lots_are_found_without_sorting_all(monkeypatch):
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 400, 60)
    group = np.repeat(np.arange(60), sizes)
    lot = rng.integers(0, 2**64, len(group), dtype=np.uint64)
    lot[group == 7] |= np.uint64(2**63)  # a group whose lots are all high
    for most in (1, 5, 30, 500):
        by_sorting = [
            np.flatnonzero(group == g)[np.argsort(lot[group == g])[:most]] for g in range(60)
        ]
        found = cutting._lowest(lot, group, sizes, most)
        assert sorted(found) == sorted(np.concatenate(by_sorting))


def test_open_samples_names_the_shard_that_is_not_as_written(tmp_path, logs):
    from intent.errors import IntentError

    manifest = build_samples(tmp_path, logs)
    open_samples(tmp_path)
    shard = tmp_path / manifest.shards[0].path
    whole = shard.read_bytes()
    for damaged, message in (
        (whole[:-9], "the manifest says"),
        (whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], "altered"),
        (None, "missing"),
    ):
        shard.unlink() if damaged is None else shard.write_bytes(damaged)
        with pytest.raises(IntentError, match=f"{shard.name}.*{message}"):
            open_samples(tmp_path)


def test_windows_reach_back_to_the_start_of_their_session_and_no_further(tmp_path, logs, samples):
    gap = 20 * 60_000
    manifest = build_samples(tmp_path, logs, length=LENGTH, session_gap_minutes=20)
    assert manifest.counted["sessions"] > 20
    whole = {(u, t): inputs for u, t, inputs, _ in groups(*samples)}
    shorter = same = 0
    for user, t0, inputs, _ in groups(tmp_path, manifest):
        frames = [f[f.user_id == user] for f in logs.values() if "timestamp" in f]
        times = np.unique(np.concatenate([f.timestamp.to_numpy() for f in frames]))
        times = times[times <= t0]
        pauses = np.flatnonzero(np.diff(times) > gap)
        start = times[pauses[-1] + 1] if len(pauses) else times[0]
        for view, table in (("swipe", "touch"), ("tap", "tap"), ("browse", "browse")):
            mine = logs[table][logs[table].user_id == user].timestamp
            in_session = int(((mine >= start) & (mine <= t0)).sum())
            marker = PAPER.view(view).marker_column
            got, full = inputs[view], whole[user, t0][view]
            real = int((got[:, marker] > 0).sum())
            assert real == min(in_session, LENGTH)
            last = full[(full[:, marker] > 0)][-real:] if real else full[:0]
            assert (got[:real] == last).all() and not got[real:].any()
            shorter += real < (full[:, marker] > 0).sum()
            same += real == (full[:, marker] > 0).sum()
    assert shorter > 100 and same > 0
