"""The simulated shop: rates, tables that fit together, determinism, atomic writing."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent.errors import UsageError
from intent.schema import BROWSE, DAY_MS, HISTORY, HOUR_MS, PROFILE, SWIPE, TAP
from intent.simulate import shop
from intent.simulate.catalogue import catalogue
from intent.simulate.parameters import SHOP
from intent.simulate.shop import simulate
from intent.simulate.tables import HISTORY_COLUMNS, PROFILE_COLUMNS, TABLES, VIEWS

USERS, DAYS = 384, 4
START_MS = int(np.datetime64("2026-01-05", "ms").astype(np.int64))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A shop at the paper's rates, large enough for its averages."""
    out = tmp_path_factory.mktemp("shop") / "logs"
    summary = simulate(out, USERS, DAYS, seed=1)
    return out, summary, {name: pq.read_table(out / name).to_pandas() for name in TABLES}


def small(folder, days=3, seed=4, users=70, **options):
    """The tables of a small shop of two cells."""
    simulate(folder, users, days, seed, rate=0.2, **options)
    return {name: pq.read_table(folder / name) for name in TABLES}


def test_actions_per_active_day_are_those_of_table_1(full):
    _, _, tables = full
    active = tables["touch"].groupby(["user_id", tables["touch"]["timestamp"] // DAY_MS]).ngroups
    for view, goal in (("browse", 42), ("tap", 391), ("touch", 1583)):
        assert len(tables[view]) / active == pytest.approx(goal, rel=0.10), view


def test_actions_are_heavy_tailed_over_users(full):
    _, _, tables = full
    counts = np.sort(tables["touch"].groupby("user_id").size().to_numpy())
    assert counts[-USERS // 10 :].sum() > 0.22 * counts.sum()  # the busiest tenth
    assert counts[-1] > 3 * np.median(counts)


def test_label_rates_are_near_five_and_eighteen_percent(full):
    _, _, tables = full
    rng = np.random.default_rng(0)
    browse, found = tables["browse"], {HOUR_MS: [], DAY_MS: []}
    purchases = {
        u: np.sort(r["timestamp"])
        for u, r in browse[browse["type"] == "purchase"].groupby("user_id")
    }
    for (user, day), rows in tables["touch"].groupby(
        ["user_id", tables["touch"]["timestamp"] // DAY_MS]
    ):
        if (day + 2) * DAY_MS > START_MS + DAYS * DAY_MS:
            continue
        cuts = rng.choice(rows["timestamp"].unique(), min(30, len(rows)))
        bought = purchases.get(user, np.zeros(0))
        for span, labels in found.items():
            after = np.searchsorted(bought, cuts, side="right")
            labels.append(np.searchsorted(bought, cuts + span, side="right") > after)
    assert 0.03 < np.concatenate(found[HOUR_MS]).mean() < 0.08
    assert 0.12 < np.concatenate(found[DAY_MS]).mean() < 0.25


def test_values_are_there_exactly_where_they_apply(full):
    _, _, tables = full
    touch, tap, browse = (tables[name] for name in VIEWS)
    at, moved = touch["action"] == "tap", touch["action"] == "swipe"
    for columns, rows in (
        (("x", "y"), at),
        (("start_x", "start_y", "end_x", "end_y", "duration_ms"), moved),
    ):
        for column in columns:
            assert (touch[column].notna() == rows).all(), column
    assert (tap["button"].notna() == (tap["event"] == "button")).all()
    always = touch[["user_id", "timestamp", "action", "page", "screen_width", "screen_height"]]
    for table in (always, tap.drop(columns="button"), browse, tables["profile"], tables["history"]):
        assert table.notna().all().all()
    for column in ("x", "y", "start_x", "start_y", "end_x", "end_y"):
        size = touch["screen_width" if column.endswith("x") else "screen_height"]
        there = touch[column].notna()
        assert (touch[column][there] >= 0).all() and (touch[column][there] < size[there]).all()
    assert touch.groupby("user_id")["screen_width"].nunique().max() == 1
    assert touch["screen_width"].nunique() >= 5
    for view in (touch, tap, browse):
        assert view["timestamp"].between(START_MS, START_MS + DAYS * DAY_MS - 1).all()
        assert (view.groupby("user_id")["timestamp"].diff().dropna() >= 0).all()
    assert (touch.groupby("user_id")["timestamp"].diff().dropna() > 0).all()


def test_taps_and_browse_rows_belong_to_touches(full):
    _, _, tables = full
    touch, tap, browse = (tables[name] for name in VIEWS)
    taps = touch[touch["action"] == "tap"]
    assert (
        taps[["user_id", "timestamp", "page"]].to_numpy()
        == tap[["user_id", "timestamp", "page"]].to_numpy()
    ).all()
    opened = set(
        touch[touch["action"] == "open_page"][["user_id", "timestamp", "page"]].itertuples(
            index=False, name=None
        )
    )
    begun = zip(
        browse["user_id"], browse["timestamp"] - browse["stay_ms"], browse["page"], strict=True
    )
    assert all(row in opened for row in begun)
    steps = touch[touch["action"].isin(["open_page", "leave_page"])]["action"].to_numpy()
    assert (steps[::2] == "open_page").all() and (steps[1::2] == "leave_page").all()


def test_names_fit_into_the_dictionaries_of_table_3(full):
    _, _, tables = full
    names = catalogue(SHOP)
    sizes = {f.name: f.dictionary for view in (SWIPE, TAP, BROWSE) for f in view.features}
    assert len(names.pages) == len(set(names.pages)) == SWIPE.features[0].dictionary == 224
    assert len(names.buttons) == len(set(names.buttons)) == sizes["button"]
    assert len(names.leaves) == sizes["leaf_category"] and len(names.tops) == sizes["top_category"]
    assert set(tables["tap"]["page"]) <= set(names.pages[:200])
    assert set(tables["browse"]["page"]) <= set(names.pages[:181])
    assert set(tables["touch"]["page"]) <= set(names.pages)
    counts = tables["browse"]["leaf_category"].value_counts().to_numpy()
    assert counts[:10].sum() > 0.2 * counts.sum()  # Zipf: few categories are most of the traffic
    assert (tables["browse"].groupby("leaf_category")["top_category"].nunique() == 1).all()
    assert PROFILE_COLUMNS == tuple(f.name for f in PROFILE)
    for feature in PROFILE:
        assert tables["profile"][feature.name].between(0, feature.dictionary - 1).all()


def test_history_is_the_year_before_without_empty_days(full):
    _, _, tables = full
    history = tables["history"]
    assert history["day"].min() == "2025-01-05" and history["day"].max() == "2026-01-04"
    assert (history[list(HISTORY_COLUMNS)].sum(axis=1) > 0).all()
    assert not history.duplicated(["user_id", "day"]).any()
    assert {f.name.rsplit("_", 1)[0] for f in HISTORY} == set(HISTORY_COLUMNS)


def test_same_seed_same_logs_and_another_seed_others(tmp_path):
    once, again = small(tmp_path / "a"), small(tmp_path / "b")
    other = small(tmp_path / "c", seed=5)
    for name in TABLES:
        assert once[name].equals(again[name]), name
        assert not once[name].equals(other[name]), name


def test_a_day_does_not_depend_on_the_days_after_it(tmp_path):
    """So no label can have been emitted: the first days are the same when later ones never come."""
    short, long = small(tmp_path / "short", days=2), small(tmp_path / "long", days=3)
    end = START_MS + 2 * DAY_MS
    for view in VIEWS:
        early = long[view].filter(pa.compute.less(long[view]["timestamp"], end))
        assert early.sort_by([("user_id", "ascending"), ("timestamp", "ascending")]).equals(
            short[view].sort_by([("user_id", "ascending"), ("timestamp", "ascending")])
        ), view
        assert len(long[view]) > len(early)
    assert short["profile"].equals(long["profile"]) and short["history"].equals(long["history"])


def test_more_users_leave_the_full_cells_as_they_are(tmp_path):
    few, many = small(tmp_path / "few", users=64), small(tmp_path / "many", users=70)
    kept = pa.compute.less(many["touch"]["user_id"], "u0000064")
    assert many["touch"].filter(kept).equals(few["touch"])


def test_rate_scales_taps_and_swipes_but_not_pages(full, tmp_path):
    _, summary, tables = full
    low = simulate(tmp_path / "low", 128, 2, seed=1, rate=0.2)["rows"]
    high = simulate(tmp_path / "high", 128, 2, seed=1, rate=1.0)["rows"]
    assert low["browse"] == high["browse"]
    assert low["tap"] / high["tap"] == pytest.approx(0.2, abs=0.03)
    assert low["touch"] < 0.35 * high["touch"]


def test_shop_json_says_what_was_simulated(full):
    out, summary, tables = full
    written = json.loads((out / "shop.json").read_text())
    assert written["simulated"] is True and written["parameters_hash"] == SHOP.hash()
    assert written["rows"] == summary["rows"] == {name: len(rows) for name, rows in tables.items()}
    assert written["seed"] == 1 and written["parameters"]["zipf"] == SHOP.zipf


def test_a_crash_leaves_nothing_and_a_shop_is_replaced_only_when_asked(tmp_path, monkeypatch):
    out = tmp_path / "logs"
    simulate(out, 3, 1, seed=0, rate=0.1)
    before = (out / "shop.json").read_text()
    with pytest.raises(UsageError, match="not empty"):
        simulate(out, 3, 1, seed=1, rate=0.1)
    real = shop.simulate_day
    monkeypatch.setattr(
        shop, "simulate_day", lambda *a: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        simulate(out, 3, 1, seed=1, rate=0.1, overwrite=True)
    assert (out / "shop.json").read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["logs"]
    monkeypatch.setattr(shop, "simulate_day", real)
    simulate(out, 3, 1, seed=1, rate=0.1, overwrite=True)
    assert (out / "shop.json").read_text() != before
    assert [p.name for p in tmp_path.iterdir()] == ["logs"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match="shop.json"):
        simulate(tmp_path, 3, 1, seed=0, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "all of it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": 0}, "--users"), ({"days": 0}, "--days"), ({"seed": -1}, "--seed"),
        ({"rate": 0.0}, "--rate"), ({"rate": float("nan")}, "--rate"),
        ({"start": "yesterday"}, "YYYY-MM-DD"),
    ],
)  # fmt: skip
def test_impossible_sizes_are_refused_before_anything_is_written(tmp_path, change, words):
    arguments = {"users": 2, "days": 1, "seed": 0} | change
    with pytest.raises(UsageError, match=words):
        simulate(tmp_path / "logs", **arguments)
    assert not list(tmp_path.iterdir())
