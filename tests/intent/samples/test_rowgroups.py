"""Row groups in the order asked for: nothing lost, bounded, and never a hang."""

from __future__ import annotations

import os
import random
import threading
import time

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intent.errors import IntentError
from intent.samples import rowgroups
from intent.samples.rowgroups import read_row_groups

FILES, GROUPS, ROWS = 3, 5, 4
EVERY = [(f"day={f}/part.parquet", g) for f in range(FILES) for g in range(GROUPS)]


def write(root, first: int = 0) -> None:
    for number in range(FILES):
        start = first + number * GROUPS * ROWS
        ids = np.arange(start, start + GROUPS * ROWS)
        cells = [bytes([i % 256]) * 500 for i in ids]
        path = root / f"day={number}" / "part.parquet"
        path.parent.mkdir(exist_ok=True)
        table = pa.table({"id": ids, "cell": pa.array(cells, pa.binary())})
        pq.write_table(table, path, row_group_size=ROWS, compression="none")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("rowgroups")
    write(root)
    return root


@pytest.fixture
def own(tmp_path):
    write(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def no_thread_stays_behind():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def expected_ids(item: tuple[str, int]) -> list[int]:
    start = EVERY.index(item) * ROWS
    return list(range(start, start + ROWS))


class Slow(rowgroups._Worker):
    """A worker that takes its time, longest for what is asked for first, and keeps a record."""

    started: list[int] = []
    finished: list[int] = []

    def process(self, position, path, row_group):
        self.started.append(position)
        time.sleep(0.04 if position % 4 == 0 else 0.0)
        super().process(position, path, row_group)
        self.finished.append(position)


@pytest.fixture
def slow(monkeypatch):
    Slow.started, Slow.finished = [], []
    monkeypatch.setattr(rowgroups, "_Worker", Slow)
    return Slow


@settings(max_examples=25, deadline=None)
@given(
    items=st.lists(st.sampled_from(EVERY), max_size=40),
    workers=st.integers(1, 5),
    prefetch=st.integers(1, 7),
)
def test_any_items_in_their_order(store, items, workers, prefetch):
    tables = list(read_row_groups(str(store), items, workers=workers, prefetch=prefetch))
    assert [t["id"].to_pylist() for t in tables] == [expected_ids(item) for item in items]


def test_order_holds_where_workers_finish_in_another(store, slow):
    items = random.Random(0).sample(EVERY, len(EVERY))
    tables = list(read_row_groups(str(store), items, workers=3, prefetch=6))
    assert [t["id"].to_pylist() for t in tables] == [expected_ids(item) for item in items]
    # The control: as they came from the workers, they were not in order.
    assert sorted(slow.finished) == list(range(len(items)))
    assert slow.finished != sorted(slow.finished)


def test_memory_is_bounded_by_prefetch(store, slow):
    reader = read_row_groups(str(store), EVERY, workers=4, prefetch=3)
    for position, _ in enumerate(reader):
        time.sleep(0.05 if position < 3 else 0)
        assert max(slow.started) <= position + 3
    assert sorted(slow.started) == list(range(len(EVERY)))


def test_reads_ahead_while_the_consumer_works(store, slow):
    reader = read_row_groups(str(store), EVERY, workers=2, prefetch=3)
    next(reader)
    time.sleep(0.3)
    assert sorted(slow.finished) == [0, 1, 2, 3]
    reader.close()


def test_columns_are_raw_and_in_the_order_asked_for(store):
    (table,) = read_row_groups(str(store), [EVERY[7]], ["cell", "id"])
    assert table.column_names == ["cell", "id"]
    assert table.schema.field("cell").type == pa.binary()
    assert table["cell"][0].as_py() == bytes([28]) * 500


def test_no_items_no_tables(store):
    assert list(read_row_groups(str(store), [])) == []


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_urls(store, scheme):
    root = store.as_uri()
    if scheme == "memory":
        fsspec.filesystem("memory").put(str(store), "/rowgroups", recursive=True)
        root = "memory://rowgroups"
    tables = read_row_groups(root, EVERY[::-1])
    assert [t["id"].to_pylist() for t in tables] == [expected_ids(item) for item in EVERY[::-1]]


def test_early_stop_leaves_no_thread(store):
    before = threading.active_count()
    reader = read_row_groups(str(store), EVERY * 20, workers=4, prefetch=8)
    next(reader)
    assert threading.active_count() > before
    began = time.monotonic()
    reader.close()
    assert threading.active_count() == before
    assert time.monotonic() - began < 2

    for _ in read_row_groups(str(store), EVERY * 20, workers=4):
        break  # not closed by hand: the garbage collector does it
    assert threading.active_count() == before


def test_a_consumer_that_fails_leaves_no_thread(store):
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        for _ in read_row_groups(str(store), EVERY * 20, workers=4, prefetch=8):
            1 / 0  # noqa: B018
    assert threading.active_count() == before


def fails(root, items, match, **options) -> str:
    """Reading raises one IntentError within seconds, in which `match` is found; its text."""
    began = time.monotonic()
    with pytest.raises(IntentError, match=match) as caught:
        for _ in read_row_groups(str(root), items, workers=3, **options):
            pass
    assert time.monotonic() - began < 10
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_file(own, capfd):
    os.remove(own / EVERY[5][0])
    text = fails(own, EVERY, "is missing")
    assert str(own / EVERY[5][0]) in text
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("keep", [0, 10, 3000, -1])
def test_truncated_file(own, keep):
    path = own / EVERY[5][0]
    data = path.read_bytes()
    path.write_bytes(data[:keep])
    assert str(path) in fails(own, EVERY, "damaged or was cut short")


def test_damaged_page(tmp_path):
    """A bit that flips inside a page, in a file with page checksums, as Spark writes them."""
    table = pa.table({"cell": pa.array([bytes(5000)] * 20, pa.binary())})
    path = tmp_path / "part.parquet"
    options = {"compression": "none", "use_dictionary": False}
    pq.write_table(table, path, row_group_size=10, write_page_checksum=True, **options)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert pq.read_table(path).num_rows == 20  # the control: unchecked, nobody would notice
    fails(tmp_path, [("part.parquet", 0), ("part.parquet", 1)], "part.parquet: row group")


@pytest.mark.parametrize("act", ["remove", "truncate", "swap"])
def test_a_file_that_goes_while_it_is_being_read(own, act):
    reader = read_row_groups(str(own), EVERY * 10, workers=2, prefetch=2)
    seen = [next(reader) for _ in range(len(EVERY))]
    assert len(seen) == len(EVERY)
    path = own / EVERY[5][0]
    if act == "remove":
        path.unlink()
    elif act == "truncate":
        os.truncate(path, path.stat().st_size // 2)
    else:
        write(own, first=1000)
    began = time.monotonic()
    with pytest.raises(IntentError, match="day=.*part.parquet:? .*(missing|changed|cut short)"):
        for _ in reader:
            pass
    assert time.monotonic() - began < 10
    assert next(reader, None) is None


def test_row_group_and_column_that_are_not_there(own):
    fails(own, [(EVERY[0][0], GROUPS)], f"no row group {GROUPS}, the file has {GROUPS}")
    fails(own, [(EVERY[0][0], -1)], "no row group -1")
    fails(own, EVERY, "no column 'labels'; there are id, cell", columns=["id", "labels"])


def test_a_result_that_gets_lost_is_an_error(store, monkeypatch):
    class Losing(rowgroups._Worker):
        def process(self, position, path, row_group):
            if position != 7:
                super().process(position, path, row_group)

    monkeypatch.setattr(rowgroups, "_Worker", Losing)
    fails(store, EVERY, "never came back")


def test_bad_arguments(store):
    with pytest.raises(ValueError, match="at least 1"):
        read_row_groups(str(store), EVERY, workers=0)


def test_a_read_that_does_not_end_is_given_up_and_named(store, monkeypatch, caplog):
    """As on a network drive that hangs."""
    monkeypatch.setattr(rowgroups, "PATIENCE_S", 0.5)
    ends, read, (path, _) = threading.Event(), rowgroups.read, EVERY[1]

    def hanging(source, name, row_group):
        if row_group == 1:
            ends.wait(20)
        return read(source, name, row_group)

    monkeypatch.setattr(rowgroups, "read", hanging)
    tables = read_row_groups(str(store), EVERY[:2])
    assert next(tables).num_rows == ROWS
    with pytest.raises(IntentError, match=f"{path}: reading it has not come to an end for"):
        next(tables)
    assert "waiting for" in caplog.text
    ends.set()


def test_what_is_no_file_is_refused(own):
    (own / EVERY[0][0]).unlink()
    os.mkfifo(own / EVERY[0][0])
    with pytest.raises(IntentError, match="no regular file"):
        next(read_row_groups(str(own), EVERY[:1]))


def test_a_file_of_another_size_than_it_was_made_with_is_refused(own):
    sizes = {name: (own / name).stat().st_size for name, _ in EVERY}
    assert len(list(read_row_groups(str(own), EVERY, sizes=sizes))) == len(EVERY)
    sizes[EVERY[-1][0]] += 1
    with pytest.raises(
        IntentError, match=f"{EVERY[-1][0]}: the file has .* bytes, it was made with"
    ):
        list(read_row_groups(str(own), EVERY, sizes=sizes))


def test_what_goes_wrong_in_a_conversion_names_the_row_group(store):
    places = list(read_row_groups(str(store), EVERY[:4], convert=lambda table, place: place))
    assert places == [0, 1, 2, 3]

    def damaged(table, place):
        raise ValueError("torn")

    with pytest.raises(IntentError, match=r"part.parquet: row group 2: cannot be decoded .*torn"):
        next(read_row_groups(str(store), EVERY[2:3], convert=damaged))
