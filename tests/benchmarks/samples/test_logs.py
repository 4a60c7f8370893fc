"""Parts of a shop are the shop of fewer users, and a heavy user has what many had."""

import pyarrow.parquet as pq
import pytest

from benchmarks.samples.logs import part_of, with_heavy_user
from intent.simulate.shop import simulate


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    simulate(folder / "shop", 128, 1, 7, rate=0.05)
    return folder / "shop"


def read(folder, table):
    rows = pq.read_table(folder / table)
    return rows.sort_by([(name, "ascending") for name in rows.column_names[:3]])


def test_a_part_is_the_shop_of_fewer_users(shop, tmp_path):
    events = part_of(shop, tmp_path / "part", 64)
    summary = simulate(tmp_path / "small", 64, 1, 7, rate=0.05)
    assert events == summary["events"]
    assert read(tmp_path / "part", "touch").equals(read(tmp_path / "small", "touch"))
    assert not read(shop, "touch").equals(read(tmp_path / "small", "touch"))


def test_a_part_is_whole_cells(shop, tmp_path):
    with pytest.raises(ValueError, match="70 users"):
        part_of(shop, tmp_path / "part", 70)


def test_a_heavy_user_takes_over_the_events_of_many(shop, tmp_path):
    name, medians = with_heavy_user(shop, tmp_path / "heavy", 20)
    before, after = read(shop, "touch"), read(tmp_path / "heavy", "touch")
    assert 15 < medians < 25
    assert len(before) == len(after)
    hers = after["user_id"].to_pylist().count(name)
    assert hers > 10 * before["user_id"].to_pylist().count(name)
    assert read(shop, "profile").equals(read(tmp_path / "heavy", "profile"))
