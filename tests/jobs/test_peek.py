"""`intent samples peek` in a simulated shop says what that shop's raw logs say."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from intent.cli import run
from intent.config import SamplesConfig
from intent.samples.convert import convert
from intent.schema import DAY_MS, HOUR_MS
from jobs.build_samples import app, build_samples
from tests.support.commands import intent

LENGTH = 48
MS = {"ms": 1, "s": 1000, "min": 60_000, "h": HOUR_MS}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The logs of a small shop as tables, and its samples in both layouts."""
    root = tmp_path_factory.mktemp("shop")
    logs, samples = root / "logs", root / "samples"
    done = intent("simulate", "--out", logs, "--users", 30, "--days", 4, "--rate", 0.2)
    assert done.status == 0, done.err
    build_samples(logs, samples, SamplesConfig(length=LENGTH, groups_per_row_group=40))
    convert(samples, root / "groups")
    tables = {n: pd.read_parquet(logs / n) for n in ("touch", "tap", "browse", "profile")}
    return tables, samples, root / "groups"


@pytest.fixture(scope="module")
def user(shop):
    """Whoever bought most."""
    browse = shop[0]["browse"]
    return browse[browse.type == "purchase"].user_id.value_counts().index[0]


def peek(capsys, *arguments) -> dict:
    capsys.readouterr()
    assert run(app, ["peek", *map(str, arguments), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def inside(words: str | None, value: float) -> bool:
    """Whether a value (ms) is in a range such as "100-199 ms" or "over 10 s"; None is no value."""
    if words is None or pd.isna(value):
        return words is None and pd.isna(value)
    span, unit = words.removeprefix("over ").split(" ")
    low, _, high = span.partition("-")
    behind = int(high) * MS[unit] + (unit == "ms") if high else math.inf
    return int(low) * MS[unit] <= value < behind


def there(words: str | None, value: float, size: float) -> bool:
    """Whether a coordinate is in a share of the screen such as "24-29 %", which is rounded."""
    if words is None or pd.isna(value):
        return words is None and pd.isna(value)
    low, high = map(int, words.removesuffix(" %").split("-"))
    return low - 0.5 <= 100 * value / size <= high + 0.5


def way(words: dict, name: str, moved: float, size: float) -> bool:
    """Whether "left 6-12 %" is how far a swipe went."""
    if pd.isna(moved):
        return words[name] is None
    side, _, share = words[name].partition(" ")
    lesser, greater = {"length_x": ("left", "right"), "length_y": ("up", "down")}[name]
    return side == (lesser if moved < 0 else greater) and there(share, abs(moved), size)


def touch_fits(words: dict, row, before) -> bool:
    gap = DAY_MS if before is None else row.timestamp - before.timestamp
    across, up = row.end_x - row.start_x, row.end_y - row.start_y
    return (
        words["action"] == row.action
        and words["page"] == row.page
        and inside(words["time_gap"], gap)
        and all(
            there(words[name], getattr(row, column), getattr(row, f"screen_{side}"))
            for name, column, side in (
                ("tap_x", "x", "width"),
                ("tap_y", "y", "height"),
                ("start_x", "start_x", "width"),
                ("start_y", "start_y", "height"),
                ("end_x", "end_x", "width"),
                ("end_y", "end_y", "height"),
            )
        )
        and way(words, "length_x", across, row.screen_width)
        and way(words, "length_y", up, row.screen_height)
        and words["right_left"]
        == (None if not abs(across) > 0 else "right" if across > 0 else "left")
        and words["up_down"] == (None if not abs(up) > 0 else "down" if up > 0 else "up")
        and inside(words["duration"], row.duration_ms)
    )


def tap_fits(words: dict, row, before) -> bool:
    button = None if pd.isna(row.button) else row.button
    return words == {"event": row.event, "page": row.page, "button": button}


def browse_fits(words: dict, row, before) -> bool:
    names = ("type", "leaf_category", "top_category", "page")
    return all(words[n] == getattr(row, n) for n in names) and inside(
        words["stay_time"], row.stay_ms
    )


FITS = {"swipe": ("touch", touch_fits), "tap": ("tap", tap_fits), "browse": ("browse", browse_fits)}


def fitting(tables: dict, user: str, view: str, group: dict) -> list[bool]:
    """For each action that peek shows of a view, whether a raw row of its moment says the same."""
    table, fits = FITS[view]
    frame = tables[table]
    frame = frame[(frame.user_id == user) & (frame.timestamp <= group["time"])]
    rows = list(frame.sort_values("timestamp", kind="stable").itertuples())
    assert group["lengths"][view] == min(len(rows), LENGTH)
    assert len(group["views"][view]) == group["lengths"][view]
    pairs = list(zip([None, *rows], rows, strict=False))[-LENGTH:]
    return [
        any(
            fits(action["words"], row, before)
            for before, row in pairs
            if row.timestamp == action["time"] == group["time"] - action["before_ms"]
        )
        for action in group["views"][view]
    ]


def test_peek_says_what_the_raw_rows_say(shop, user, capsys):
    tables, samples, groups = shop
    cuts = peek(capsys, samples, "--user", user)["cuts"]
    assert len(cuts) > 30 and cuts == peek(capsys, groups, "--user", user)["cuts"]
    browse = tables["browse"]
    bought = browse[(browse.user_id == user) & (browse.type == "purchase")].timestamp
    profile = tables["profile"].set_index("user_id").loc[user]
    seen = {"realtime": set(), "longterm": set()}
    shown = {view: [] for view in FITS}
    for cut in cuts[:: len(cuts) // 8]:
        at, all_of_it = cut["time"], ("--user", user, "--at", cut["at"], "--actions", 0)
        group = peek(capsys, samples, *all_of_it)
        assert group["time"] == at and group["labels"] == cut["labels"]
        assert group == peek(capsys, groups, *all_of_it)
        for task, horizon in (("realtime", HOUR_MS), ("longterm", DAY_MS)):
            assert group["labels"][task] == int(((bought > at) & (bought <= at + horizon)).any())
            seen[task].add(group["labels"][task])
        assert all(p["level"] == profile[name] for name, p in group["profile"].items())
        for view in FITS:
            shown[view] += fitting(tables, user, view, group)
        for action in group["views"]["browse"]:
            assert inside(action["words"]["age"], action["before_ms"])
    assert seen["longterm"] == {0, 1}
    for view, right in shown.items():
        assert len(right) > 100 and all(right), view


def test_the_comparison_notices_another_row(shop, user, capsys):
    tables, samples, _ = shop
    cut = peek(capsys, samples, "--user", user)["cuts"][-1]
    group = peek(capsys, samples, "--user", user, "--at", cut["time"], "--actions", 0)
    for view, (table, _) in FITS.items():
        assert all(fitting(tables, user, view, group))
        frame = tables[table].copy()
        last = frame[
            (frame.user_id == user) & (frame.timestamp <= group["time"])
        ].timestamp.idxmax()
        frame.loc[last, "page"] = "Page_Elsewhere"
        assert not all(fitting({**tables, table: frame}, user, view, group))


@pytest.mark.parametrize("columns", [80, 120])
def test_what_a_person_sees(shop, user, capsys, monkeypatch, columns):
    _, samples, _ = shop
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(app, ["peek", str(samples), "--user", user]) == 0
    *listed, hint = capsys.readouterr().out.splitlines()
    assert f"{user} on 2 days" in listed[1] and any("yes" in line for line in listed)
    assert hint.startswith(f"One of them: intent samples peek {samples} --user {user} --at 20")
    at = hint.split()[-1]
    assert run(app, ["peek", str(samples), "--user", user, "--at", at, "--actions", "3"]) == 0
    out = capsys.readouterr().out
    assert at in out and "bought within 1 hour" in out and "the last one before" not in out
    assert out.count("the last 3 of") == 3 and "365 days" in out and "at the cut" in out
    assert ("moved" in out) == (columns == 120)
    assert max(len(line) for line in [*listed, *out.splitlines()]) <= columns
    later = at.replace("Z", "9")[:-5] + "Z"
    assert run(app, ["peek", str(samples), "--user", user, "--at", "2030", "--view", "tap"]) == 1
    assert (
        run(app, ["peek", str(samples), "--user", user, "--at", "2030-01-01", "--view", "tap"]) == 0
    )
    out = capsys.readouterr().out
    assert "the last one before 2030-01-01" in out and later[:10] in out
    assert "event" in out and "365 days" not in out and "stay" not in out


def test_what_is_wrong_is_told_in_one_line(shop, user, capsys):
    _, samples, _ = shop
    some = f"some of {samples}: u"
    for arguments, status, told in (
        ([], 2, some),
        (["--user", user[:-1]], 1, f"no user '{user[:-1]}' among its "),
        (["--user", user[:-1]], 1, f"'{user}'"),
        (["--user", "???"], 1, "none has a name like that"),
        (["--user", user, "--at", "2020-01-01"], 1, "the first one is at 2026-01-0"),
        (["--user", user, "--at", "soon"], 2, "--at is a moment in UTC such as"),
        (["--user", user, "--view", "scroll"], 2, "--view is one of swipe, tap, browse"),
    ):
        assert run(app, ["peek", str(samples), *arguments]) == status
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line
