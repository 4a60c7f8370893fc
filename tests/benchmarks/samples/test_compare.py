"""The comparison of two datasets sees every difference."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.samples.compare import differences, units, write_cuts
from benchmarks.samples.sizes import bytes_per_group
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    build_samples(root, random_logs(users=6))
    return root


@pytest.fixture(scope="module")
def rows(ours):
    """Our groups as the rival writes them: a list column a feature."""
    parts = []
    for unit in units(ours):
        inputs = unit.inputs(np.arange(unit.groups))
        data = {"user_id": list(unit.users), "t0": unit.at}
        data |= {f"label_{t.name}": unit.labels[:, k] for k, t in enumerate(unit.schema.tasks)}
        for view in unit.schema.views:
            for k, feature in enumerate(view.features):
                data[f"{view.name}_{feature.name}"] = inputs[view.name][:, :, k].tolist()
        data |= {name: inputs[name].tolist() for name in ("history", "profile")}
        parts.append(pa.table(data))
    return pa.concat_tables(parts)


def compared(ours, rows, folder):
    folder.mkdir()
    half = len(rows) // 2
    pq.write_table(rows.slice(half), folder / "a.parquet")
    pq.write_table(rows.slice(0, half), folder / "b.parquet")
    return differences(ours, folder)


def changed(rows, column):
    """The rows with one id of the first row changed."""
    values = rows[column].to_pylist()
    values[0] = [values[0][0] + 1, *values[0][1:]] if isinstance(values[0], list) else 1 - values[0]
    return rows.set_column(rows.column_names.index(column), column, pa.array(values))


def test_the_same_groups_do_not_differ(ours, rows, tmp_path):
    assert compared(ours, rows, tmp_path / "same") == {}
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(len(rows))))
    assert compared(ours, shuffled, tmp_path / "shuffled") == {}


@pytest.mark.parametrize("column", ["swipe_page", "browse_age", "history", "profile"])
def test_one_changed_id_is_seen(ours, rows, tmp_path, column):
    assert compared(ours, changed(rows, column), tmp_path / column) == {column: 1}


def test_a_changed_label_is_seen(ours, rows, tmp_path):
    wrong = changed(rows, "label_realtime")
    assert compared(ours, wrong, tmp_path / "label") == {"label_realtime": 1}


def test_missing_extra_and_repeated_groups_are_seen(ours, rows, tmp_path):
    assert compared(ours, rows.slice(1), tmp_path / "less") == {"missing": 1}
    twice = pa.concat_tables([rows, rows.slice(0, 1)])
    assert compared(ours, twice, tmp_path / "twice") == {"repeated": 1}
    stranger = rows.slice(0, 1).set_column(0, "user_id", pa.array(["nobody"]))
    more = pa.concat_tables([rows, stranger])
    assert compared(ours, more, tmp_path / "more") == {"extra": 1}


def test_the_cuts_are_those_of_all_groups(ours, rows, tmp_path):
    assert write_cuts(ours, tmp_path / "cuts.parquet") == len(rows)
    found = pq.read_table(tmp_path / "cuts.parquet")
    assert found["t0"].to_pylist() == rows["t0"].to_pylist()


def test_one_group_a_day_weighs_more_than_all_shuffled(ours, rows, tmp_path):
    pq.write_table(rows, tmp_path / "a.parquet")
    found = bytes_per_group(tmp_path)
    assert found["sorted"] <= found["shuffled"] < found["apart"]
