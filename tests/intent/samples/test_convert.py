"""Tracks to padded groups and back: nothing is lost, and the test would notice if it were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent.errors import IntentError
from intent.samples import groups, regroup
from intent.samples import manifest as manifests
from intent.samples.columnar import Rows, TrackRow
from intent.samples.convert import convert, read_shard
from intent.samples.regroup import read_groups, track_rows
from intent.samples.rows import encode_rows
from intent.samples.store import write_shards
from intent.samples.trim import seen_by_windows
from intent.schema import DAY_MS, PAPER
from tests.support.build import DICTIONARIES, build_samples
from tests.support.raw_logs import START, random_logs

LENGTH = 6


def random_row(rng: np.random.Generator, user: str, day: int, schema) -> TrackRow:
    """A track row of random actions, many of them at the same millisecond or all alike."""
    cut_time = np.sort(rng.choice(np.arange(1, 60), rng.integers(1, 9), replace=False)) + day
    ids, times, ends = {}, {}, []
    for view in schema.views:
        last = int(cut_time[-1])
        n = int(rng.integers(0, 5 * LENGTH))
        at = np.sort(rng.integers(last - rng.choice([3, 70, DAY_MS]), last + 1, n))
        first_end = int(np.searchsorted(at, cut_time[0], "right"))
        at = at[max(first_end - LENGTH, 0) :]
        sizes = np.array([f.rows for f in view.features])
        rows = rng.integers(0, min(3, rng.integers(1, 4)), (len(at), view.width)) % sizes
        rows[:, view.marker_column] = rng.integers(1, sizes[view.marker_column], len(at))
        if view.name == "browse":
            rows[:, view.column("age")] = 0
        ids[view.name], times[view.name] = rows.astype(view.dtype), at
        ends.append(np.searchsorted(at, cut_time, "right"))
    row = TrackRow(
        user_id=user,
        day=day,
        ids=ids,
        times=times,
        cut_time=cut_time,
        cut_end=np.stack(ends, axis=1).astype(np.uint32),
        labels=rng.integers(0, 2, (len(cut_time), len(schema.tasks))).astype(np.uint8),
        history=rng.integers(1, 20, (len(cut_time), len(schema.history))).astype(np.uint8),
        profile=rng.integers(0, 3, len(schema.profile)).astype(np.uint8),
        since=np.maximum.accumulate(cut_time - rng.integers(0, 40, len(cut_time)))
        if rng.random() < 0.5
        else None,
    )
    return trimmed(row, LENGTH)


def trimmed(row: TrackRow, length: int) -> TrackRow:
    """The row without what no window sees."""
    ids, times, ends = {}, {}, []
    for i, name in enumerate(row.ids):
        end = row.cut_end[:, i].astype(np.int64)
        begin = 0 if row.since is None else np.searchsorted(row.times[name], row.since)
        low = np.maximum(np.maximum(end - length, 0), begin)
        places, _, end = seen_by_windows(low, end, np.array([len(end)]))
        ids[name], times[name] = row.ids[name][places], row.times[name][places]
        ends.append(end)
    return replace(row, ids=ids, times=times, cut_end=np.stack(ends, axis=1).astype(np.uint32))


def encoded(rows, schema) -> pa.Table:
    """The rows as they are stored."""
    return encode_rows(Rows.of(list(rows), schema), schema)


def dataset(root, rows, schema):
    """A tracks dataset of these rows."""
    root.mkdir()
    shards = write_shards(root, iter(rows), schema, 10)
    build = manifests.Build(
        days=sorted({s.day for s in shards}), span=(START, START + 9 * DAY_MS), rows_in={},
        used={}, quarantined={}, dropped={}, counted={}, quarantine_files=[], source="test",
        code_version="test",
    )  # fmt: skip
    manifest = manifests.Manifest(
        layout="tracks", schema=schema, settings={"seed": 0, "groups_per_row_group": 10},
        shards=sorted(shards, key=lambda s: s.path), builds=[build],
        dictionary_hash=DICTIONARIES.hash(),
    )  # fmt: skip
    manifests.save(root, manifest, DICTIONARIES)
    return manifest


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sources", [PAPER.sources, ("browse",), ("tap", "swipe", "history")])
def test_there_and_back_again_is_the_same_from_either_layout(tmp_path, seed, sources):
    rng = np.random.default_rng(seed)
    schema = replace(PAPER.keep(sources), length=LENGTH)
    rows = [
        random_row(rng, f"user-{u}", START + d * DAY_MS, schema)
        for u in range(7)
        for d in range(3)
        if rng.integers(4)
    ]
    tracks = dataset(tmp_path / "tracks", rows, schema)
    dense = convert(tmp_path / "tracks", tmp_path / "groups")
    again = convert(tmp_path / "groups", tmp_path / "again")
    assert dense.groups == tracks.groups and dense.layout == "groups"
    assert again.content_hash() == tracks.content_hash() != dense.content_hash()
    assert again.shards == tracks.shards  # to the byte: the shards' names are checksums
    assert again.builds == tracks.builds and again.schema == tracks.schema
    assert convert(tmp_path / "again", tmp_path / "g").shards == dense.shards


@pytest.mark.parametrize("gap", [None, 20])
def test_built_from_logs_there_and_back_again_every_group_is_the_same(tmp_path, gap):
    built = build_samples(
        tmp_path / "s", random_logs(), per_day=5, length=LENGTH, session_gap_minutes=gap
    )
    (tmp_path / "s" / ".intent-samples").touch()
    dense = convert(tmp_path / "s", tmp_path / "g")
    tracks = convert(tmp_path / "g", tmp_path / "t")
    assert tracks.groups == dense.groups == built.groups > 20
    assert tracks.content_hash() == built.content_hash()
    assert convert(tmp_path / "t", tmp_path / "g2").content_hash() == dense.content_hash()


@pytest.mark.parametrize("damage", ["a time", "an id", "a label", "the order"])
def test_the_comparison_notices(tmp_path, damage):
    rng = np.random.default_rng(1)
    schema = replace(PAPER, length=LENGTH)
    rows = [random_row(rng, f"user-{u}", START, schema) for u in range(5)]
    manifest = dataset(tmp_path / "tracks", rows, schema)
    dense = convert(tmp_path / "tracks", tmp_path / "groups")
    (shard,) = dense.shards
    tables = list(read_shard(str(tmp_path / "groups"), shard, regroup.needed_columns(schema)))
    whole = read_groups(pa.concat_tables(tables), schema)
    exact = list(track_rows([whole], schema))
    assert encoded(exact, schema).equals(encoded(rows, schema))
    arrays = {name: a.copy() for name, a in whole.arrays.items()}
    labels, at = whole.labels.copy(), whole.at
    if damage == "a time":
        arrays["swipe_times"][arrays["swipe_times"] == arrays["swipe_times"].max()] -= 1
    elif damage == "an id":
        arrays["tap"][:, :, 1] ^= arrays["tap"][:, :, 0] > 0
    elif damage == "a label":
        labels[0] ^= 1
    else:
        at = at[::-1]
    broken = replace(whole, at=at, labels=labels, arrays=arrays)
    if damage == "the order":
        with pytest.raises(IntentError, match="order of time"):
            list(track_rows([broken], schema))
    else:
        other = write_shards(tmp_path / "other", track_rows([broken], schema), schema, 10)
        assert replace(manifest, shards=other).content_hash() != manifest.content_hash()


def test_a_user_over_several_row_groups_is_one_row(tmp_path):
    schema = replace(PAPER, length=LENGTH)
    rows = [random_row(np.random.default_rng(2), f"u{i}", START, schema) for i in range(4)]
    dataset(tmp_path / "tracks", rows, schema)
    (shard,) = convert(tmp_path / "tracks", tmp_path / "groups").shards
    table = pq.read_table(tmp_path / "groups" / shard.path)
    parts = [read_groups(table.slice(i, 1), schema) for i in range(table.num_rows)]
    assert encoded(track_rows(parts, schema), schema).equals(encoded(rows, schema))


def test_times_of_a_window_stand_where_its_actions_stand(tmp_path):
    schema = replace(PAPER, length=LENGTH)
    rows = [random_row(np.random.default_rng(3), "u", START, schema)]
    dataset(tmp_path / "tracks", rows, schema)
    (shard,) = convert(tmp_path / "tracks", tmp_path / "groups").shards
    found = read_groups(pq.read_table(tmp_path / "groups" / shard.path), schema)
    for view in schema.views:
        real = found.arrays[view.name][:, :, view.marker_column] > 0
        times = found.arrays[groups.times_column(view)]
        assert ((times > 0) == real).all() and (times <= found.at[:, None]).all() and real.any()


def test_what_no_window_sees_is_left_out_and_no_window_changes():
    low, end = np.array([0, 6, 2, 2, 9]), np.array([3, 8, 2, 5, 9])
    places, kept, ends = seen_by_windows(low, end, np.array([2, 2, 1]))
    assert places.tolist() == [0, 1, 2, 6, 7, 2, 3, 4]
    assert kept.tolist() == [5, 3, 0] and ends.tolist() == [3, 5, 0, 3, 0]
    rng = np.random.default_rng(5)
    for _ in range(20):
        cuts = rng.integers(1, 6, 4)
        end = np.concatenate([np.sort(rng.integers(0, 40, n)) + 50 * i for i, n in enumerate(cuts)])
        low = np.maximum(end - rng.integers(0, 7), 50 * np.repeat(np.arange(4), cuts))
        places, kept, ends = seen_by_windows(low, end, cuts)
        first = np.repeat(np.cumsum(kept) - kept, cuts)
        for a, b, where in zip(low, end, first + ends, strict=True):
            assert places[where - (b - a) : where].tolist() == list(range(a, b))
        assert len(places) == sum(
            len({x for a, b in w for x in range(a, b)})
            for w in np.split(np.stack([low, end], axis=1), np.cumsum(cuts)[:-1])
        )
