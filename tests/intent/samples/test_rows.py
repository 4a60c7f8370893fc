"""Track rows as Parquet cells: nothing is lost, whatever the ids and times; Petastorm reads."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent.errors import IntentError
from intent.samples import native
from intent.samples.cells import pack_cells, unpack_cells
from intent.samples.columnar import Rows, TrackRow
from intent.samples.layout import arrow_schema, columns, needed_columns, unischema
from intent.samples.manifest import Shard
from intent.samples.rows import content, decode_rows, encode_rows
from intent.samples.store import ShardWriter, write_chunks, write_petastorm_metadata, write_shards
from intent.samples.timeline import Series, passed
from intent.schema import DAY_MS, PAPER, SWIPE

DAY = 20_000 * DAY_MS


def random_row(rng: np.random.Generator, schema=PAPER, user="u", day=DAY, wild=False) -> TrackRow:
    """A row whose ids are any at all (`wild`) or as Table 3 makes them; tracks may be empty."""
    cut_time = np.sort(rng.choice(DAY_MS, rng.integers(1, 31), replace=False)) + day
    ids, times, ends = {}, {}, []
    for view in schema.views:
        n = int(rng.choice([0, 1, 2, 300]))
        since = int(rng.choice([1, 1000, DAY_MS, 2**33, 2**40]))
        at = np.sort(cut_time[-1] - rng.integers(0, since, n))
        if n > 2:  # an action at the very moment of a cut, and several at one moment
            at[-1], at[1] = cut_time[-1], at[0]
        sizes = np.array([f.rows for f in view.features])
        found = (rng.random((n, view.width)) * sizes).astype(view.dtype)
        if view.name == "swipe" and not wild:
            found = swipes(rng, n)
        if view.name == "browse":
            found[:, view.column("age")] = 0
        ids[view.name], times[view.name] = found, at
        ends.append(np.searchsorted(at, cut_time, "right"))
    cuts = len(cut_time)
    return TrackRow(
        user_id=user, day=day, ids=ids, times=times, cut_time=cut_time,
        cut_end=np.stack(ends, axis=1).astype(np.uint32),
        labels=rng.integers(0, 2, (cuts, len(schema.tasks))).astype(np.uint8),
        history=rng.integers(0, 102, (cuts, len(schema.history))).astype(np.uint8),
        profile=rng.integers(0, 18, len(schema.profile)).astype(np.uint8),
        since=cut_time - rng.integers(0, DAY_MS, cuts) if rng.random() < 0.5 else None,
    )  # fmt: skip


def swipes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Touch actions as the encoder makes them from pixels, often straight up or on the spot."""
    from intent.features import discretize as d

    start, end = rng.integers(0, 1081, (2, n)), rng.integers(0, 1081, (2, n))
    end = np.where(
        rng.random((2, n)) < 0.5, np.clip(start + rng.integers(-9, 9, (2, n)), 0, 1080), end
    )
    action = rng.integers(1, 5, n)
    f = {"page": rng.integers(0, 226, n), "action": action, "time_gap": rng.integers(1, 21, n)}
    for axis, segments, way in ((0, 17, "x"), (1, 25, "y")):
        f[f"start_{way}"] = d.position(start[axis], 1080, segments)
        f[f"end_{way}"] = d.position(end[axis], 1080, segments)
        f[f"length_{way}"] = d.swipe_length(start[axis], end[axis], 1080, segments)
        f[f"tap_{way}"] = d.position(start[axis], 1080, segments) * (action == 4)
    f["right_left"] = d.direction(start[0], end[0], True)
    f["up_down"] = d.direction(start[1], end[1], False)
    f["duration"] = rng.integers(0, 21, n)
    found = np.stack([f[x.name] for x in SWIPE.features], axis=1).astype(np.uint8)
    found[action != 3, 5:] = 0
    return found


def same(a: Rows, b: Rows) -> bool:
    """Whether all arrays are equal, types included where they are ids."""
    for name in ("users", "cut_time", "cuts", "cut_end", "labels", "history", "profile", "since"):
        if not np.array_equal(getattr(a, name), getattr(b, name)):
            return False
    return all(
        np.array_equal(a.ids[v], b.ids[v])
        and a.ids[v].dtype == b.ids[v].dtype
        and np.array_equal(a.times[v], b.times[v])
        and np.array_equal(a.actions[v], b.actions[v])
        for v in a.ids
    )


@pytest.mark.parametrize("form", ["compiled", "numpy"])
@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize("sources", [PAPER.sources, ("browse",), ("swipe", "profile")])
def test_every_column_of_random_rows_comes_back(monkeypatch, form, wild, sources):
    assert native.slices() is not None
    if form == "numpy":
        monkeypatch.setattr(native, "slices", lambda: None)
    schema = PAPER.keep(sources)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rows = [random_row(rng, schema, f"u{i}", wild=wild) for i in range(rng.integers(1, 40))]
        given = Rows.of(rows, schema)
        table = encode_rows(given, schema)
        assert table.schema == arrow_schema(schema)
        assert same(decode_rows(table, schema, schema), given)
        odd = table["swipe_odd"] if "swipe" in sources else []
        kept = sum(len(np.load(io.BytesIO(c.as_py()))) for c in odd)
        assert kept == 0 if not wild else kept > 0 or "swipe" not in sources


def test_gaps_of_months_and_rows_without_any_action_but_one():
    schema = replace(PAPER.keep(["tap"]), length=4)
    row = replace(
        random_row(np.random.default_rng(0), schema),
        ids={"tap": np.array([[1, 2, 3], [2, 201, 501]], np.uint16)},
        times={"tap": np.array([5, 5 + 2**40])}, cut_time=np.array([5 + 2**40]),
        cut_end=np.array([[2]]), labels=np.zeros((1, 2), np.uint8),
        history=np.zeros((1, 0), np.uint8),
    )  # fmt: skip
    empty = replace(
        row, ids={"tap": np.zeros((0, 3), np.uint16)}, times={"tap": np.zeros(0, np.int64)},
        cut_end=np.array([[0]]),
    )  # fmt: skip
    for rows in ([row], [empty], [empty, row, empty, empty, row]):
        given = Rows.of(rows, schema)
        assert same(decode_rows(encode_rows(given, schema), schema, schema), given)


def test_part_of_the_sources_is_read_from_part_of_the_columns():
    rng = np.random.default_rng(5)
    given = Rows.of([random_row(rng, user=f"u{i}") for i in range(9)], PAPER)
    few = replace(PAPER.keep(["tap", "history"]), tasks=PAPER.tasks[1:])
    found = decode_rows(encode_rows(given, PAPER).select(needed_columns(few)), PAPER, few)
    assert list(found.ids) == ["tap"] and np.array_equal(found.ids["tap"], given.ids["tap"])
    assert np.array_equal(found.cut_end[:, 0], given.cut_end[:, 1])
    assert np.array_equal(found.labels[:, 0], given.labels[:, 1]) and not found.profile.size


def test_a_row_that_contradicts_itself_is_not_written_and_a_damaged_one_not_read():
    row = random_row(np.random.default_rng(1))
    wrong = replace(row, cut_end=row.cut_end + 1)
    with pytest.raises(IntentError, match="not the number of actions"):
        encode_rows(Rows.of([wrong], PAPER), PAPER)
    full = next(r for s in range(9) if len((r := random_row(np.random.default_rng(s))).ids["tap"]))
    wide = replace(full, ids={**full.ids, "tap": full.ids["tap"] * 0 + 300})
    with pytest.raises(IntentError, match="tap_event is 300; expected at most 255"):
        encode_rows(Rows.of([wide], PAPER), PAPER)
    table = encode_rows(
        Rows.of([random_row(np.random.default_rng(s)) for s in range(5)], PAPER), PAPER
    )
    other = encode_rows(
        Rows.of([random_row(np.random.default_rng(s)) for s in range(5, 10)], PAPER), PAPER
    )
    for name in ("tap_page", "swipe_start_x", "moment_mid", "labels", "cut_step"):
        i = table.schema.get_field_index(name)
        with pytest.raises(IntentError, match="damaged"):
            decode_rows(table.set_column(i, name, other[name]), PAPER, PAPER)
        nonsense = pa.chunked_array([pa.array([b"x" * 200] * 5)])
        with pytest.raises(IntentError, match="damaged"):
            decode_rows(table.set_column(i, name, nonsense), PAPER, PAPER)


@pytest.mark.parametrize("name", ["tap_step", "swipe_odd_step", "cut_step"])
def test_steps_past_the_end_of_a_row_are_damage(name):
    rows = [random_row(np.random.default_rng(s), wild=True) for s in range(5)]
    table = encode_rows(Rows.of(rows, PAPER), PAPER)
    [(steps, lengths)] = unpack_cells([table[name].chunk(0)], [(np.dtype("<u4"), (), True)])
    assert steps.size  # else there is nothing to damage
    far = pack_cells(steps.astype(np.int64) + 60_000, lengths, narrow=True)
    with pytest.raises(IntentError, match="after its row's last moment; the shard is damaged"):
        decode_rows(table.set_column(table.schema.get_field_index(name), name, far), PAPER, PAPER)


def test_cells_are_npy_and_counts_take_the_narrowest_type():
    values, lengths = np.array([1, 255, 256, 7, 2**32, 0]), np.array([2, 0, 1, 1, 2])
    column = pack_cells(values, lengths, narrow=True)
    cells = [np.load(io.BytesIO(c.as_py())) for c in column]
    assert [c.dtype.str for c in cells] == ["|u1", "|u1", "<u2", "|u1", "<u8"]
    assert [c.tolist() for c in cells] == [[1, 255], [], [256], [7], [2**32, 0]]
    for part in (column, column.slice(2, 2)):
        [(found, n)] = unpack_cells([part], [(np.dtype("<u4"), (), True)])
        assert (
            found.tolist()
            == np.concatenate([np.load(io.BytesIO(c.as_py())) for c in part]).tolist()
        )
        assert n.sum() == len(found)


def test_a_cell_that_is_not_ours_is_noticed_in_any_column():
    one = pack_cells(np.arange(6, dtype=np.uint8), np.array([4, 2]))
    two = pack_cells(np.arange(6) * 100, np.array([1, 5]), narrow=True)
    kinds = [(np.dtype("u1"), (2,), False), (np.dtype("<u4"), (), True)]
    found = unpack_cells([one, two], kinds)
    assert [n.tolist() for _, n in found] == [[2, 1], [1, 5]]
    assert found[0][0].tolist() == [[0, 1], [2, 3], [4, 5]] and found[1][0][5] == 500
    for k, column in enumerate((one, two)):
        cell = column[1].as_py()
        for wrong in (
            cell[:100], b"X" + cell[1:], cell.replace(b"u", b"i", 1), cell.replace(b"u", b"u9", 1),
            cell.replace(b"descr", b"shape", 1), cell[:-1], None,
            cell.replace(b"u2", b"u3").replace(b"u1", b"u3"),
        ):  # fmt: skip
            cells = [one, two]
            cells[k] = pa.array([column[0].as_py(), wrong], pa.binary())
            with pytest.raises(IntentError, match="damaged"):
                unpack_cells(cells, kinds)


def test_the_times_of_some_views_alone_are_made():
    given = Rows.of([random_row(np.random.default_rng(s)) for s in range(9)], PAPER)
    table = encode_rows(given, PAPER)
    for wanted in ((), ("browse",), ("tap", "swipe")):
        found = decode_rows(table, PAPER, PAPER, wanted)
        assert sorted(found.times) == sorted(wanted)
        assert all(np.array_equal(found.times[v], given.times[v]) for v in wanted)
        assert same(replace(found, times=given.times), given)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_runs_of_moments_say_what_single_moments_do(share):
    rng = np.random.default_rng(1)
    moments, lengths = rng.integers(1, 900, 12), rng.integers(0, 500, 12)
    lengths[[0, 5, 11]] = 0
    first = np.cumsum(moments) - moments
    at = []  # mostly one moment after the last, or at any
    for low, many, n in zip(first, moments, lengths, strict=True):
        some = np.arange(n) if rng.random() < share else rng.integers(0, many, n)
        at.append(low + np.sort(np.minimum(some, many - 1)))
    lengths, begin = np.array([len(a) for a in at]), np.cumsum(lengths) - lengths
    at = np.concatenate(at)
    steps = np.diff(at, prepend=0)
    steps[begin[lengths > 0]] = (at[begin[lengths > 0]]) - first[lengths > 0]
    series = Series.of(steps, lengths, first, moments)
    assert np.array_equal(series.moments(), at)
    values = rng.integers(0, 250, moments.sum()).astype(np.uint8)
    assert np.array_equal(series.of_moments(values), values[at])
    cuts = np.sort(rng.integers(0, moments.sum(), 300))
    assert np.array_equal(series.until(cuts), np.searchsorted(at, cuts, "right"))
    gaps = rng.integers(0, 2**40, moments.sum())
    for places in (at, np.sort(rng.choice(at, 20)), np.repeat(at[-1], 5), at[:0]):
        assert np.array_equal(passed(gaps, places), np.cumsum(gaps)[places])
    with pytest.raises(ValueError, match="after its row's last moment"):  # negative control
        Series.of(steps + (np.arange(len(steps)) == len(steps) - 1) * 1000, lengths, first, moments)


def test_content_is_of_the_rows_alone_and_notices_any_change(tmp_path):
    rows = [random_row(np.random.default_rng(s), user=f"u{s}") for s in range(20)]
    table = encode_rows(Rows.of(rows, PAPER), PAPER)
    parts = [encode_rows(Rows.of(p, PAPER), PAPER) for p in (rows[7:], rows[:7])]
    assert sum(content(p, "d") for p in parts) == content(table, "d") != content(table, "e")
    for level, size in ((1, 100), (9, 3)):  # compression and row groups are none of its business
        path = tmp_path / f"{level}.parquet"
        pq.write_table(
            table, path, compression="zstd", compression_level=level, row_group_size=size
        )
        assert content(pq.read_table(path), "d") == content(table, "d")
    for name in ("ids", "times", "labels", "history", "profile", "user_id"):  # negative control
        row = rows[3]
        if name == "ids":
            changed = replace(row, ids={v: a ^ (a == a.max()) for v, a in row.ids.items()})
        elif name == "times":
            at = {v: np.r_[t[:1] - 1, t[1:]] for v, t in row.times.items()}
            changed = replace(row, times=at)
        else:
            value = getattr(row, name)
            changed = replace(row, **{name: value + "x" if name == "user_id" else value ^ 1})
        again = encode_rows(Rows.of([*rows[:3], changed, *rows[4:]], PAPER), PAPER)
        assert content(again, "d") != content(table, "d"), name


def shards(root, rows, limit=200, **kinds) -> list[Shard]:
    return write_shards(str(root), iter(rows), PAPER, limit, **kinds)


def test_what_waits_to_be_written_is_bounded_and_the_content_stays(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    days = [DAY + d * DAY_MS for d in range(40)]
    rows = [random_row(rng, user=f"u{u}", day=d) for u in range(12) for d in days]
    whole = shards(tmp_path / "a", rows, 10**6)
    assert all(len(s.row_groups) == 1 for s in whole)
    most, flush = [0], ShardWriter.flush

    def noted(writer: ShardWriter) -> None:
        most[0] = max(most[0], writer.pending_bytes)
        flush(writer)

    monkeypatch.setattr(ShardWriter, "flush", noted)
    tight = shards(tmp_path / "b", rows, 10**6, most_bytes=400_000)
    assert max(len(s.row_groups) for s in tight) > 1 and 0 < most[0] < 400_000
    assert [s.content for s in tight] == [s.content for s in whole]
    assert [sum(s.row_groups) for s in tight] == [s.groups for s in whole]
    assert [sum(s.negatives) for s in tight] == [s.negatives[0] for s in whole]


def test_negatives_are_counted_row_group_by_row_group(tmp_path):
    rng = np.random.default_rng(3)
    rows = [random_row(rng, user=f"u{u:02}") for u in range(30)]
    (shard,) = shards(tmp_path / "a", rows, 100)
    none = np.concatenate([[not any(one) for one in row.labels.tolist()] for row in rows])
    ends = np.cumsum(shard.row_groups)
    assert len(ends) > 2
    assert shard.negatives == [int(part.sum()) for part in np.split(none, ends)[:-1]]
    assert 0 < sum(shard.negatives) < shard.groups
    assert shard.groups - sum(shard.negatives) != shard.positives[PAPER.tasks[0].name]  # all tasks


def test_chunks_of_rows_are_written_as_rows_are(tmp_path):
    rng = np.random.default_rng(7)
    days = [DAY + d * DAY_MS for d in range(3)]
    rows = [random_row(rng, user=f"u{u:02}", day=d) for u in range(12) for d in days]
    one = shards(tmp_path / "a", rows, 60)

    def chunks(rows):
        for low in range(0, len(rows), 10):
            part = rows[low : low + 10]
            yield np.array([r.day for r in part]), Rows.of(part, PAPER)

    many = write_chunks(str(tmp_path / "b"), chunks(rows), PAPER, 60)
    same = ("day", "content", "rows", "groups", "positives")
    assert [[getattr(s, n) for n in same] for s in many] == [
        [getattr(s, n) for n in same] for s in one
    ]
    other = write_chunks(str(tmp_path / "c"), chunks(rows[:-1]), PAPER, 60)
    assert [s.content for s in other] != [s.content for s in many]  # negative control


def test_rows_are_taken_out_of_others():
    rows = [random_row(np.random.default_rng(s), user=f"u{s}") for s in range(9)]
    index = np.array([7, 0, 3, 3])
    assert same(Rows.of(rows, PAPER).take(index), Rows.of([rows[i] for i in index], PAPER))
    assert not same(
        Rows.of(rows, PAPER).take(index), Rows.of([rows[i] for i in (7, 0, 3, 4)], PAPER)
    )


def test_any_petastorm_reader_opens_the_shards(tmp_path):
    rows = [random_row(np.random.default_rng(s), user=f"u{s}") for s in range(6)]
    found = shards(tmp_path / "s", rows, 50)
    fields = unischema(PAPER)
    write_petastorm_metadata(str(tmp_path / "s"), arrow_schema(PAPER), fields, found)
    from petastorm import make_reader

    url = (tmp_path / "s").resolve().as_uri()
    with make_reader(url, workers_count=1, shuffle_row_groups=False) as reader:
        read = {r.user_id: r for r in reader}
    assert set(read) == {r.user_id for r in rows}
    for row in rows:
        got = read[row.user_id]
        assert set(columns(PAPER)) < set(got._fields) and got.groups == len(row.cut_time)
        gaps = (
            got.moment_low + 256 * got.moment_mid.astype(int) + 65_536 * got.moment_high.astype(int)
        )
        moments = got.start + np.cumsum(gaps)
        assert (moments[np.cumsum(got.cut_step, dtype=int)] == row.cut_time).all()
        assert (moments[np.cumsum(got.tap_step, dtype=int)] == row.times["tap"]).all()
        assert (got.tap_button == row.ids["tap"][:, 2]).all() and (got.history == row.history).all()
        assert (got.swipe_tap_x == row.ids["swipe"][row.ids["swipe"][:, 1] == 4, 3]).all()
