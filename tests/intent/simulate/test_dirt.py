"""Dirt: what is counted is there, the clean rows are untouched, and it is off unless asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from intent.schema import DAY_MS
from intent.simulate.dirt import BREAKS, FAR_FUTURE_MS, break_row
from intent.simulate.parameters import SHOP
from intent.simulate.shop import simulate
from intent.simulate.tables import TABLES, VIEWS

USERS, DAYS = 128, 2
START_MS = int(np.datetime64("2026-01-05", "ms").astype(np.int64))
STRONG = replace(SHOP, dirt=replace(SHOP.dirt, skewed_users=0.05, viewless_users=0.08))


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dirt")
    out = {}
    for name, dirt, p in (("clean", False, SHOP), ("dirty", True, SHOP), ("strong", True, STRONG)):
        summary = simulate(folder / name, USERS, DAYS, 3, rate=0.3, dirt=dirt, parameters=p)
        out[name] = summary, {t: pq.read_table(folder / name / t).to_pandas() for t in TABLES}
    return out


def test_off_unless_asked_for(shops):
    summary, tables = shops["clean"]
    assert summary["dirt"] is None
    for view in VIEWS:
        assert not tables[view].duplicated().any()
        assert tables[view]["user_id"].notna().all() and (tables[view]["timestamp"] > 0).all()


def test_counts_add_up(shops):
    (clean, _), (dirty, _) = shops["clean"], shops["dirty"]
    counts = dirty["dirt"]
    added = counts["duplicates"] + counts["bot_rows"] + counts["broken"]
    assert dirty["events"] == clean["events"] - counts["viewless_rows"] + added
    assert sum(counts["broken_by"].values()) == counts["broken"]
    assert set(counts["broken_by"]) == {how for ways in BREAKS.values() for how in ways}
    assert counts["bots"] == 2  # one for each cell of 64 users
    assert 0.01 < added / dirty["events"] < 0.035  # well below the 5 % at which a build gives up


def test_every_kind_of_broken_row_is_in_the_logs_as_counted(shops):
    _, tables = shops["dirty"]
    by = shops["dirty"][0]["dirt"]["broken_by"]
    every = [tables[view] for view in VIEWS]  # duplicates are of clean rows
    touch = every[0]
    assert sum(t["user_id"].isna().sum() for t in every) == by["null_user"]
    assert sum(t["timestamp"].isna().sum() for t in every) == by["null_timestamp"]
    assert sum((t["timestamp"] == -1).sum() for t in every) == by["negative_timestamp"]
    assert sum((t["timestamp"] == FAR_FUTURE_MS).sum() for t in every) == by["future_timestamp"]
    names = ("action", "event", "type")
    assert (
        sum((t[n] == "hover").sum() for t, n in zip(every, names, strict=True))
        == by["unknown_action"]
    )
    high = touch["screen_height"]
    assert ((touch["y"] > high) | (touch["start_y"] > high)).sum() == by["off_screen"]
    assert (touch["duration_ms"] < 0).sum() + (every[2]["stay_ms"] < 0).sum() == by[
        "negative_duration"
    ]


def test_a_nan_coordinate_is_a_nan_and_not_a_null():
    row = {"x": 1.0, "y": 2.0, "start_y": None, "screen_height": 100}
    assert np.isnan(break_row(row, "nan_coordinate", "touch")["y"])
    assert break_row(row, "off_screen", "touch")["y"] > 100
    assert break_row(dict.fromkeys(row), "nan_coordinate", "touch") is None


def test_exact_duplicates(shops):
    summary, tables = shops["dirty"]
    twice = sum(tables[view].duplicated().sum() for view in VIEWS)
    assert twice == pytest.approx(summary["dirt"]["duplicates"], abs=3)


def test_bots_are_regular_and_fast(shops):
    _, tables = shops["dirty"]
    bots = [f"u{USERS + cell:07d}" for cell in range(2)]
    assert not set(bots) & set(tables["profile"]["user_id"])
    for name in bots:
        rows = tables["touch"][tables["touch"]["user_id"] == name].drop_duplicates()
        gaps = np.diff(np.sort(rows["timestamp"].dropna()))
        assert len(rows) > 40 and np.median(gaps) == SHOP.dirt.bot_gap_ms
        assert (gaps[gaps < DAY_MS / 2] == SHOP.dirt.bot_gap_ms).mean() > 0.95


def test_wrong_clocks_and_missing_views_are_those_users_only(shops):
    _, clean = shops["clean"]
    summary, tables = shops["strong"]
    counts = summary["dirt"]
    changed = 0
    for user, rows in clean["touch"].groupby("user_id"):
        times = tables["touch"][tables["touch"]["user_id"] == user]["timestamp"]
        times = times[(times > 0) & (times < FAR_FUTURE_MS)]
        shift = int(times.min() - rows["timestamp"].min()) if len(times) else 0
        assert abs(shift) <= SHOP.dirt.skew_minutes * 60_000
        assert not len(times) or (rows["timestamp"] + shift).isin(times).all()  # all by the same
        changed += shift != 0
    missing = sum(len(set(clean[v]["user_id"]) - set(tables[v]["user_id"])) for v in VIEWS)
    assert 0 < changed <= counts["skewed_users"]  # some of them were never active,
    assert 0 < missing <= counts["viewless_users"]  # or lack the very view
