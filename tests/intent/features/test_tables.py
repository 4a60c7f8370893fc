"""A column is read the same whatever its type, and never raises."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest

from intent.features.tables import LIMIT_MS, day_ms, number, text, time_ms

COLUMNS = {  # a column -> its text, its numbers (None: none, "bad": broken)
    "string": (pa.array(["7", "", None, " 1.5 ", "+2", "x"]),
               ["7", None, None, " 1.5 ", "+2", "x"], [7, None, None, 1.5, 2, "bad"]),
    "large string": (pa.array(["7", None], pa.large_string()), ["7", None], [7, None]),
    "string view": (pa.array(["7", None], pa.string_view()), ["7", None], [7, None]),
    "dictionary": (pa.array(["7", "", None, "7"]).dictionary_encode(),
                   ["7", None, None, "7"], [7, None, None, 7]),
    "dictionary of numbers": (pa.array([7, None]).dictionary_encode(), ["7", None], [7, None]),
    "int8": (pa.array([-7, None], pa.int8()), ["-7", None], [-7, None]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"], [float(2**64)]),
    "int64": (pa.array([2**53 + 1]), ["9007199254740993"], [float(2**53)]),
    "double": (pa.array([5.0, 0.25, np.nan, np.inf, None]), ["5", "0.25", None, "inf", None],
               [5, 0.25, "bad", "bad", None]),
    "half": (pa.array([np.float16(1.5), None], pa.float16()), ["1.5", None], [1.5, None]),
    "decimal": (pa.array([decimal.Decimal("1.50"), None]), ["1.50", None], [1.5, None]),
    "bool": (pa.array([True, None, False]), ["true", None, "false"], ["bad", None, "bad"]),
    "null": (pa.nulls(2), [None, None], [None, None]),
    "binary": (pa.array([b"7", b"\xff", b"", None]), ["7", "\ufffd", None, None],
               [7, "bad", None, None]),
    "fixed binary": (pa.array([b"ab", None], pa.binary(2)), ["ab", None], ["bad", None]),
    "list": (pa.array([[1, None], [], None]), ["[1, null]", "[]", None], ["bad", "bad", None]),
    "struct": (pa.array([{"a": "ü", "b": b"\xff", "c": dt.date(2026, 1, 5)}, None]),
               ['{"a": "ü", "b": "\ufffd", "c": "2026-01-05"}', None], ["bad", None]),
    "map": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), ['[["k", 1]]'], ["bad"]),
    "date": (pa.array([dt.date(2026, 1, 5), None]), ["2026-01-05", None], ["bad", None]),
    "time": (pa.array([dt.time(1, 2, 3), None]), ["01:02:03.000000", None], ["bad", None]),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("cut", [False, True])
def test_text_and_number_of_every_type(name, cut):
    column, words, numbers = COLUMNS[name]
    if cut:  # as a slice of a longer column
        column = pa.concat_arrays([column, column]).slice(len(column), len(column))
    found = text(column)
    assert found.type == pa.string() and found.to_pylist() == words
    values, bad = number(column)
    assert values.dtype == np.float64
    shown = ["bad" if b else None if np.isnan(v) else v for v, b in zip(values, bad, strict=True)]
    assert shown == numbers


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_every_type_is_read_as_anything_without_raising(unit):
    far = pa.array([2**63 - 1, -(2**63), 0, None]).cast(pa.timestamp(unit))
    more = [far, far.cast(pa.timestamp(unit, "UTC"), safe=False)]
    more += [pa.array([2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32())]
    more += [pa.array([2**62, None]).cast(pa.duration(unit))]
    for column in [*more, *(column for column, _, _ in COLUMNS.values())]:
        assert len(text(column)) == len(column)
        for read in (number, time_ms, day_ms):
            values, bad = read(column)
            assert len(values) == len(bad) == len(column)


def test_what_text_is_a_number_does_not_depend_on_its_neighbours():
    words = ["1", " 2 ", "+3", "4.", ".5", "1e3", "-0", "1_0", "0x1", "nan", "inf", "++1", "--1",
             "1,5", "", " ", "true", "1e400", "٣", "1e", "9" * 400]  # fmt: skip
    alone = [number(pa.array([word])) for word in words]
    values, bad = number(pa.array(words))
    assert bad.tolist() == [b[0] for _, b in alone]
    np.testing.assert_array_equal(values[~bad], [v[0] for v, b in alone if not b[0]])
    assert values[:7].tolist() == [1, 2, 3, 4, 0.5, 1000, 0] and bad[7:14].all()
    assert not bad[14] and bad[15:].all()


def test_there_is_one_zero_and_one_nan():
    same = [pa.array([-0.0, np.inf]), pa.array(["-0", "-inf"]), pa.array([0.0, np.nan])]
    same += [pa.array(["0", "1e999"]), pa.array(["-0.0", "x"])]
    found = {number(column)[0].tobytes() for column in same}
    assert found == {np.array([0, np.nan]).tobytes()}


def test_times_are_the_same_from_every_type():
    ms = 1_700_000_000_123
    same = [pa.array([ms]), pa.array([str(ms)]), pa.array([float(ms)]), pa.array([ms], pa.uint64())]
    same += [
        pa.array([ms * 1000]).cast(pa.timestamp("us")),
        pa.array([str(ms)]).dictionary_encode(),
    ]
    for column in same:
        values, bad = time_ms(column)
        assert (values.tolist(), bad.tolist()) == ([ms], [False])
    for far in (pa.array([2**62]), pa.array([str(2**62)]), pa.array([2.0**62])):
        values, bad = time_ms(far)
        assert (values.tolist(), bad.tolist()) == ([LIMIT_MS], [False])
