"""Broken rows are told apart and kept; the same values give the same record in every format."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from intent.features.encode import Limits, encode, raw_json
from intent.features.span import Span
from intent.features.vocabulary import Dictionaries, Vocabulary
from intent.schema import DAY_MS, PAPER
from tests.support.build import DICTIONARIES
from tests.support.raw_logs import START, random_logs

SPAN = Span(START, START + 4 * DAY_MS)
SWIPE_ROW = dict(
    user_id="u", timestamp=START + 5, action="swipe", page="Page_Home", x=None, y=None,
    start_x=10.0, start_y=10.0, end_x=20.0, end_y=300.0, duration_ms=40.0,
    screen_width=375.0, screen_height=667.0,
)  # fmt: skip
BROWSE_ROW = dict(user_id="u", timestamp=START + 5, type="browse", stay_ms=7.0)


def reasons(table, rows, span=SPAN):
    return encode(table, pa.Table.from_pylist(rows), DICTIONARIES, Limits(span)).reasons


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"user_id": None}, "no_user"),
        ({"user_id": ""}, "no_user"),
        ({"timestamp": None}, "no_time"),
        ({"timestamp": -5}, "outside_span"),
        ({"timestamp": START + 4 * DAY_MS}, "outside_span"),
        ({"timestamp": 2**60}, "outside_span"),
        ({"action": "dance"}, "unknown_action"),
        ({"action": None}, "unknown_action"),
        ({"start_x": float("nan")}, "not_a_number"),
        ({"start_x": None}, "no_coordinates"),
        ({"end_x": 376.0}, "off_screen"),
        ({"end_y": -0.5}, "off_screen"),
        ({"duration_ms": -1.0}, "negative_duration"),
        ({"screen_width": 0.0}, "no_screen"),
        ({"screen_height": None}, "no_screen"),
    ],
)
def test_each_fault_of_a_touch_row_has_its_reason(change, reason):
    assert reasons("touch", [SWIPE_ROW | change, SWIPE_ROW]) == [reason, None]


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("browse", BROWSE_ROW | {"type": "steal"}, "unknown_action"),
        ("browse", BROWSE_ROW | {"stay_ms": -3.0}, "negative_duration"),
        ("browse", BROWSE_ROW | {"stay_ms": float("inf")}, "not_a_number"),
        ("history", {"user_id": "u", "day": "yesterday"}, "no_time"),
        ("history", {"user_id": "u", "day": "1900-01-01"}, "no_time"),
        ("history", {"user_id": "u", "day": "2109-05-15"}, "no_time"),  # ends beyond the keys
        ("history", {"user_id": "u", "day": "2024-01-01", "cart": -1}, "negative_count"),
        ("profile", {"user_id": None, "gender": 1}, "no_user"),
        ("tap", {"user_id": "u", "timestamp": START, "event": "x", "page": "p"}, "unknown_action"),
    ],
)
def test_faults_of_the_other_tables(table, row, reason):
    assert reasons(table, [row]) == [reason]


def test_without_a_span_a_time_still_must_fit_into_the_keys_of_users_and_times():
    rows = [BROWSE_ROW, BROWSE_ROW | {"timestamp": (START + 5) * 1000}]  # microseconds
    assert reasons("browse", rows, span=None) == [None, "outside_span"]


def test_a_bad_row_is_kept_as_json():
    rows = pa.Table.from_pylist([SWIPE_ROW, SWIPE_ROW | {"action": "dance"}])
    (text,) = raw_json(rows, np.array([1]))
    assert json.loads(text)["action"] == "dance"
    (long,) = raw_json(pa.Table.from_pylist([{"user_id": "x" * 10**6}]), np.array([0]))
    assert len(long) < 20_000 and "1,000,015 characters" in long


def test_text_columns_give_the_same_ids_as_typed_ones():
    for name, frame in random_logs().items():
        typed = encode(name, pa.Table.from_pandas(frame), DICTIONARIES, Limits(SPAN))
        words = frame.map(lambda v: None if v is None or v != v else str(v))
        text = pa.Table.from_pandas(words.astype(object), preserve_index=False)
        as_text = encode(name, text, DICTIONARIES, Limits(SPAN))
        for column in ("time", "ids", "tie", "fault"):
            assert (getattr(typed, column) == getattr(as_text, column)).all(), (name, column)
        users = [w.names.take(pa.array(w.codes)) for w in (typed.user, as_text.user)]
        assert users[0].equals(users[1])


def test_parquet_timestamps_of_any_unit_are_taken():
    time = pd.to_datetime([START + 5], unit="ms")
    for unit in ("s", "ms", "us", "ns"):
        column = pa.array(time).cast(pa.timestamp(unit), safe=False)
        table = pa.table({"user_id": ["u"], "timestamp": column, "type": ["browse"]})
        got = encode("browse", table, DICTIONARIES, Limits(SPAN)).time[0]
        assert got == (START + 5 if unit != "s" else START)


def test_row_hash_tells_rows_apart_and_repeats():
    rows = [BROWSE_ROW, BROWSE_ROW | {"stay_ms": 8.0}, BROWSE_ROW]
    table = pa.Table.from_pylist(rows)
    hashes = encode("browse", table, DICTIONARIES).tie.tolist()
    alone = encode("browse", table.slice(1), DICTIONARIES).tie.tolist()
    assert hashes[0] == hashes[2] != hashes[1]
    assert alone == hashes[1:]  # a row's hash does not depend on its neighbours


def test_rows_that_are_late_or_of_later_days_are_not_wanted_but_broken_ones_stay_broken():
    late = BROWSE_ROW | {"received": START + 5 + 61_000}
    rows = [BROWSE_ROW, late, late | {"type": "steal"}, BROWSE_ROW | {"timestamp": START + 9}]
    limits = Limits(SPAN, until=START + 9, late_ms=60_000)
    found = encode("browse", pa.Table.from_pylist(rows), DICTIONARIES, limits)
    assert found.reasons == [None, None, "unknown_action", "later_day"]  # the first row has none
    table = pa.Table.from_pylist([r | {"received": r.get("received")} for r in rows[1:]])
    found = encode("browse", table, DICTIONARIES, limits)
    assert found.reasons == ["late", "unknown_action", "later_day"]
    assert found.delay.tolist() == [61_000, 61_000, 0]


def test_a_user_of_enormous_name_is_no_user():
    assert reasons("browse", [BROWSE_ROW | {"user_id": "x" * 2_000}]) == ["long_user"]


def test_vocabulary_is_by_frequency_then_name_and_unknown_is_1():
    counts = {"b": 3, "a": 3, "c": 9, "z": 1}
    vocabulary = Vocabulary.top(counts, 3)
    assert vocabulary.names == ("c", "a", "b")
    assert vocabulary.ids(pa.array(["c", "z", None, "b"])).tolist() == [2, 1, 0, 4]
    shuffled = Vocabulary.top(dict(sorted(counts.items())), 3)
    assert shuffled == vocabulary
    assert [vocabulary.name(i) for i in range(5)] == [None, "(unknown)", "c", "a", "b"]


def test_dictionaries_round_trip_and_their_hash_notices_a_change(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps(DICTIONARIES.to_dict()))
    assert Dictionaries.load(path).hash() == DICTIONARIES.hash()
    changed = Dictionaries.from_counts({"tap.page": {"other": 1}}, PAPER)
    assert changed.hash() != DICTIONARIES.hash()


def test_words_of_a_dictionary_column_with_empty_names():
    from intent.features.words import Words

    names = pa.array(["", "b", None, "a"])
    column = pa.DictionaryArray.from_arrays(pa.array([3, 0, 1, 2, None, 1]), names)
    words = Words.of(column)
    assert words.names.to_pylist() == ["b", "a"] and words.codes.tolist() == [1, -1, 0, -1, -1, 0]
