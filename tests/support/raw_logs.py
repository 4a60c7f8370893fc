"""Small random raw logs with every kind of row, and the naive way to make a sample group of them.

The naive way reads like the paper: filter a user's rows by time, take the last N, turn each value
into an id with the formula written out again. It shares no code with the library but Table 3.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from intent.schema import DAY_MS

START = 20_000 * DAY_MS  # 2024-10-04
PAGES = ["Page_Home", "Page_Detail", "Page_Cart", "Page_Rare", None]
BUTTONS = ["Button-Buy", "Button-Comments", None]
LEAVES = ["shoes", "hats", "phones", None]
TYPES = ["browse", "search", "collect", "cart", "purchase"]


def random_logs(users: int = 4, days: int = 4, per_day: int = 25, seed: int = 0) -> dict:
    """Raw tables as DataFrames; times are clustered, so that windows overflow and tie."""
    rng = np.random.default_rng(seed)

    def times(n):
        base = rng.integers(0, days * DAY_MS, n)
        burst = rng.integers(0, 3, n) == 0
        base[burst] = base[burst] // 3_600_000 * 3_600_000 + rng.integers(0, 900, burst.sum())
        return START + np.minimum(base, days * DAY_MS - 1)

    def who(n):
        return [f"user-{i}" for i in rng.integers(0, users, n)]

    n = users * days * per_day
    action = rng.choice(["open_page", "leave_page", "swipe", "tap"], n, p=[0.15, 0.15, 0.4, 0.3])
    width = rng.choice([375.0, 411.5], n)
    height = np.where(width == 375.0, 667.0, 823.0)
    xy = {k: rng.uniform(0, 1, n) * (width if k.endswith("x") else height) for k in (
        "x", "y", "start_x", "start_y", "end_x", "end_y")}  # fmt: skip
    touch = pd.DataFrame({
        "user_id": who(n), "timestamp": times(n), "action": action,
        "page": rng.choice(np.array(PAGES, object), n), **xy,
        "duration_ms": rng.integers(0, 4000, n).astype(float),
        "screen_width": width, "screen_height": height,
    })  # fmt: skip
    for k in ("x", "y"):
        touch.loc[touch.action != "tap", k] = None
    for k in ("start_x", "start_y", "end_x", "end_y", "duration_ms"):
        touch.loc[touch.action != "swipe", k] = None
    m = n // 2
    event = rng.choice(["page", "button"], m)
    button = np.where(event == "button", rng.choice(np.array(BUTTONS[:2], object), m), None)
    tap = pd.DataFrame({
        "user_id": who(m), "timestamp": times(m), "event": event,
        "page": rng.choice(np.array(PAGES, object), m), "button": button,
    })  # fmt: skip
    browse = pd.DataFrame({
        "user_id": who(m), "timestamp": times(m),
        "type": rng.choice(TYPES, m, p=[0.6, 0.1, 0.1, 0.1, 0.1]),
        "leaf_category": rng.choice(np.array(LEAVES, object), m),
        "top_category": rng.choice(np.array(["fashion", "tech"], object), m),
        "page": rng.choice(np.array(PAGES, object), m),
        "stay_ms": rng.choice([500.0, 59_999.0, 60_000.0, 200_000.0, 9e6, np.nan], m),
        "item_id": "i1", "price": rng.uniform(1, 99, m),
    })  # fmt: skip
    day = START // DAY_MS - rng.integers(1, 400, 30 * users)
    history = pd.DataFrame({
        "user_id": who(len(day)), "day": day.astype("datetime64[D]").astype(str),
        "collect": rng.integers(0, 9, len(day)), "cart": rng.integers(0, 9, len(day)),
        "purchase": rng.integers(0, 4, len(day)),
    }).drop_duplicates(["user_id", "day"])  # fmt: skip
    profile = pd.DataFrame({
        "user_id": [f"user-{i}" for i in range(users)], "age_level": rng.integers(0, 9, users),
        "gender": rng.integers(0, 3, users), "buyer_star": rng.integers(0, 17, users),
        "tm_level": rng.integers(0, 6, users), "vip_level": rng.integers(0, 8, users),
        "phone_price": rng.integers(0, 11, users),
    })  # fmt: skip
    return {
        "touch": touch.drop_duplicates(), "tap": tap.drop_duplicates(),
        "browse": browse.drop_duplicates(), "history": history, "profile": profile,
    }  # fmt: skip


def write_logs(folder, tables: dict) -> None:
    """Each table as one Parquet file FOLDER/<table>/part-0.parquet."""
    for name, frame in tables.items():
        (folder / name).mkdir(parents=True)
        frame.to_parquet(folder / name / "part-0.parquet", index=False)


def _step(x, fine, coarse, fine_steps, last):
    if x < coarse:
        return math.floor(x / fine)
    if x < (last - fine_steps + 1) * coarse:
        return math.floor(x / coarse + fine_steps - 1)
    return last


def _segment(value, size, segments):
    return min(int(value / size * segments), segments - 1) + 1


def _name(names: list, value) -> int:
    if value is None or value != value:
        return 0
    return names.index(value) + 2 if value in names else 1


def naive_group(tables: dict, names: dict, user: str, t0: int, length: int) -> dict:
    """The windows of one group as sorted lists of action tuples, its history ids and labels.

    Actions at the same millisecond may stand in any order, so callers compare accordingly.
    """
    touch, tap, browse = (
        t[(t.user_id == user) & (t.timestamp <= t0)].sort_values("timestamp", kind="stable")
        for t in (tables["touch"], tables["tap"], tables["browse"])
    )
    swipe_rows, before = [], None
    for r in touch.itertuples():
        gap = 19 if before is None else _step(r.timestamp - before, 100, 1000, 10, 19)
        before = r.timestamp
        ids = [_name(names["swipe.page"], r.page)]
        ids += [["open_page", "leave_page", "swipe", "tap"].index(r.action) + 1, gap + 1]
        w, h = r.screen_width, r.screen_height
        ids += [_segment(r.x, w, 17), _segment(r.y, h, 25)] if r.action == "tap" else [0, 0]
        if r.action == "swipe":
            ids += [_segment(r.start_x, w, 17), _segment(r.start_y, h, 25)]
            ids += [_segment(r.end_x, w, 17), _segment(r.end_y, h, 25)]
            dx, dy = r.end_x - r.start_x, r.end_y - r.start_y
            ids += [_segment(abs(dx), w, 17) + (17 if dx < 0 else 0)]
            ids += [_segment(abs(dy), h, 25) + (25 if dy < 0 else 0)]
            ids += [1 if dx > 0 else 2, 2 if dy > 0 else 1]
            ids += [_step(r.duration_ms, 25, 250, 10, 19) + 1]
        else:
            ids += [0] * 9
        swipe_rows.append((r.timestamp, tuple(ids)))
    tap_rows = [
        (r.timestamp, (["page", "button"].index(r.event) + 1, _name(names["tap.page"], r.page),
                       _name(names["tap.button"], r.button)))
        for r in tap.itertuples()
    ]  # fmt: skip
    browse_rows = [
        (r.timestamp, (TYPES.index(r.type) + 1,
                       _name(names["browse.leaf_category"], r.leaf_category),
                       _name(names["browse.top_category"], r.top_category),
                       _name(names["browse.page"], r.page),
                       0 if r.stay_ms != r.stay_ms else _step(r.stay_ms, 1000, 60_000, 60, 178) + 1,
                       _step(t0 - r.timestamp, 300_000, 3_600_000, 12, 24) + 1))
        for r in browse.itertuples()
    ]  # fmt: skip
    history = []
    past = tables["history"][tables["history"].user_id == user]
    ends = past.day.to_numpy("datetime64[ms]").astype(np.int64) + DAY_MS - 1
    for action in ("collect", "cart", "purchase"):
        for days, size in ((7, 20), (14, 20), (30, 40), (91, 60), (182, 80), (365, 100)):
            low = t0 - days * DAY_MS
            count = int(past[action].to_numpy()[(ends > low) & (ends <= t0)].sum())
            count += int(((browse.type == action) & (browse.timestamp > low)).sum())
            history.append(min(count, size - 1) + 1)
    bought = tables["browse"]
    bought = bought[(bought.user_id == user) & (bought.type == "purchase")].timestamp
    labels = [int(((bought > t0) & (bought <= t0 + h)).any()) for h in (3_600_000, DAY_MS)]
    windows = {"swipe": swipe_rows, "tap": tap_rows, "browse": browse_rows}
    return {
        **{name: rows[-length:] for name, rows in windows.items()},
        "history": history, "labels": labels,
    }  # fmt: skip
