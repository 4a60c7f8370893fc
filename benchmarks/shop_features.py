"""Aggregates, order features and cross-view features of raw logs at cut moments, for `shop_probe`.

Legend: C cuts of a user, n rows of a user in one table, F features.

Nothing here is used by the product: it is a plain second reading of the logs, to see what a model
could find in them. Windows hold the last 256 actions at or before the cut, as in the paper.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from intent.schema import DAY_MS, HOUR_MS
from intent.simulate.catalogue import catalogue
from intent.simulate.parameters import SHOP

WINDOW, RECENT = 256, 32
STUDY = ("Page_Detail_Button-Comments", "Page_Detail_Button-Sizes", "Page_Detail_Button-Cart")
PROFILE = ("age_level", "gender", "buyer_star", "tm_level", "vip_level", "phone_price")
TYPES = ("browse", "search", "collect", "cart", "purchase")
HISTORY_DAYS = (7, 14, 30, 91, 182, 365)


def read_cell(logs: Path, part: str) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """table -> user -> column -> values, rows of a user sorted by time."""
    out: dict = {}
    for table in ("touch", "tap", "browse", "profile", "history"):
        frame = pq.read_table(logs / table / part).to_pandas()
        if "timestamp" in frame:
            frame = frame.sort_values(["user_id", "timestamp"], kind="stable")
        out[table] = {
            user: {name: rows[name].to_numpy() for name in rows.columns}
            for user, rows in frame.groupby("user_id", sort=False)
        }
    return out


def draw_cuts(times: np.ndarray, end_ms: int, per_day: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted cut moments: up to `per_day` distinct action times of every labelled day."""
    times = np.unique(times)
    times = times[times + DAY_MS <= end_ms]
    cuts = []
    for day in np.unique(times // DAY_MS):
        today = times[times // DAY_MS == day]
        cuts.append(rng.choice(today, min(per_day, len(today)), replace=False))
    return np.sort(np.concatenate(cuts)) if cuts else times[:0]


def label(purchases: np.ndarray, cuts: np.ndarray, horizon_ms: int) -> np.ndarray:
    """[C] bool: a purchase in (cut, cut + horizon]."""
    until = np.searchsorted(purchases, cuts + horizon_ms, side="right")
    return until > np.searchsorted(purchases, cuts, side="right")


def one_hot(values: np.ndarray, names: list) -> np.ndarray:
    """[n, F] float: which of `names` each value is; null or another one gives a zero row."""
    place = {name: i for i, name in enumerate(names)}
    codes = np.array([place.get(v, -1) for v in values], dtype=np.int64)
    out = np.zeros((len(values), len(names)))
    rows = np.flatnonzero(codes >= 0)
    out[rows, codes[rows]] = 1
    return out


def sums(x: np.ndarray, first: np.ndarray, past: np.ndarray) -> np.ndarray:
    """[C, F] sums of the rows first..past-1 of x [n, F]."""
    total = np.vstack([np.zeros(x.shape[1]), np.cumsum(np.nan_to_num(x), axis=0)])
    return total[past] - total[first]


def windows(times: np.ndarray, cuts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """First row and past-the-last row of the last `length` rows at or before each cut."""
    past = np.searchsorted(times, cuts, side="right")
    return np.maximum(past - length, 0), past


def swipe_features(rows: dict, cuts: np.ndarray, names: dict) -> np.ndarray:
    """[C, F] counts, means and histograms of the last 256 and last 32 touches."""
    swipe = rows["action"] == "swipe"
    dx = rows["end_x"] - rows["start_x"]
    dy = rows["end_y"] - rows["start_y"]
    gap = np.minimum(np.diff(rows["timestamp"], prepend=rows["timestamp"][0]), 10_000)
    tap_x = np.floor(17 * np.nan_to_num(rows["x"], nan=-1) / rows["screen_width"])
    tap_y = np.floor(25 * np.nan_to_num(rows["y"], nan=-1) / rows["screen_height"])
    small = np.column_stack([
        one_hot(rows["action"], ["open_page", "leave_page", "swipe", "tap"]),
        rows["duration_ms"], np.abs(dx) / rows["screen_width"], np.abs(dy) / rows["screen_height"],
        swipe & (dx > 0), swipe & (dy > 0), swipe & (np.abs(dx) > np.abs(dy)), gap,
    ]).astype(float)  # fmt: skip
    large = np.column_stack([
        one_hot(rows["page"], names["touch"]),
        one_hot(tap_x, list(range(17))), one_hot(tap_y, list(range(25))),
    ])  # fmt: skip
    return _both(rows["timestamp"], cuts, np.hstack([small, large]))


def tap_features(rows: dict, cuts: np.ndarray, names: dict) -> np.ndarray:
    """[C, F] counts of events, pages and buttons in the last 256 and last 32 taps."""
    x = np.hstack([
        one_hot(rows["event"], ["page", "button"]), one_hot(rows["page"], names["tap"]),
        one_hot(rows["button"], names["button"]),
    ])  # fmt: skip
    return _both(rows["timestamp"], cuts, x)


def browse_features(rows: dict, cuts: np.ndarray, names: dict) -> np.ndarray:
    """[C, F] counts of types, categories, pages; stay times; how long ago."""
    kinds = one_hot(rows["type"], list(TYPES))
    x = np.hstack([
        kinds, rows["stay_ms"][:, None], one_hot(rows["top_category"], names["top"]),
        one_hot(rows["page"], names["browse"]),
    ])  # fmt: skip
    times = rows["timestamp"]
    out = [_both(times, cuts, x)]
    past = np.searchsorted(times, cuts, side="right")
    for span in (HOUR_MS, DAY_MS):
        out.append(sums(kinds, np.searchsorted(times, cuts - span), past))
    return np.hstack(out)


def _both(times: np.ndarray, cuts: np.ndarray, x: np.ndarray) -> np.ndarray:
    """[C, 2F+2] sums over the window and the recent actions, and the span of either."""
    out = []
    for length in (WINDOW, RECENT):
        first, past = windows(times, cuts, length)
        out.append(sums(x, first, past))
        oldest = times[np.minimum(first, len(times) - 1)]
        out.append(np.where(past > first, cuts - oldest, -1)[:, None])
    return np.hstack(out)


def history_features(rows: dict | None, browse: dict, cuts: np.ndarray) -> np.ndarray:
    """[C, 18] counts of collect, cart, purchase in six windows, as of each cut."""
    out = []
    for kind in ("collect", "cart", "purchase"):
        times = [browse["timestamp"][browse["type"] == kind]]
        if rows is not None:
            noon = rows["day"].astype("datetime64[ms]").astype(np.int64) + DAY_MS // 2
            times.append(np.repeat(noon, rows[kind]))
        every = np.sort(np.concatenate(times))
        now = np.searchsorted(every, cuts, side="right")
        out += [now - np.searchsorted(every, cuts - days * DAY_MS) for days in HISTORY_DAYS]
    return np.column_stack(out)


def order_features(
    tap: dict, browse: dict, cuts: np.ndarray, shuffle: np.random.Generator | None = None
) -> np.ndarray:
    """[C, F] what comes after what: pairs of studying taps; returns to the page before the last.

    With `shuffle`, the same actions in another order (a control that must gain nothing).
    """
    studied = np.isin(tap["button"].astype(str), STUDY)
    place = one_hot(tap["button"][studied], list(STUDY)) @ np.arange(len(STUDY))
    looked = browse["type"] == "browse"
    page, at = browse["page"][looked].astype(str), browse["timestamp"][looked]
    if shuffle:
        place, page = _mixed(place, 3, shuffle), _mixed(page, 4, shuffle)
    step = np.diff(place, prepend=place[:1])
    pairs = np.column_stack([step > 0, step < 0]).astype(float)
    same = np.zeros((len(page), 2))
    same[1:, 0] = page[1:] == page[:-1]
    same[2:, 1] = (page[2:] == page[:-2]) & (page[2:] != page[1:-1])
    times = tap["timestamp"][studied]
    return np.hstack(
        [sums(pairs, *windows(times, cuts, length)) for length in (12, 60)]
        + [sums(same, *windows(at, cuts, length)) for length in (12, 40)]
    )


def cross_features(
    tap: dict, browse: dict, cuts: np.ndarray, shuffle: np.random.Generator | None = None
) -> np.ndarray:
    """[C, F] whether what was searched for last (browse) is what is being studied (tap).

    With `shuffle`, studying is moved to any of the last ten things looked at: both views keep what
    they say by themselves, but not which tap goes with which browse row (a control as above).
    """
    studied = np.isin(tap["button"].astype(str), STUDY)
    times, page = tap["timestamp"][studied], tap["page"][studied].astype(str)
    if shuffle:
        looked = browse["type"] == "browse"
        seen = np.searchsorted(browse["timestamp"][looked], times, side="right")
        back = np.minimum(shuffle.integers(10, size=len(times)), np.maximum(seen - 1, 0))
        page = np.array(["", *browse["page"][looked].astype(str)])[seen - back]
    search = browse["type"] == "search"
    shop = catalogue(SHOP)
    shown = [shop.pages[shop.leaf_page[int(leaf[-5:])]] for leaf in browse["leaf_category"][search]]
    last = np.searchsorted(browse["timestamp"][search], times, side="right")
    wanted = np.array(["", *shown], dtype=object)[last]
    hits = np.column_stack([page == wanted, (page != wanted) & (wanted != "")]).astype(float)
    return np.hstack([sums(hits, *windows(times, cuts, length)) for length in (6, 24, 60)])


def _mixed(values: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`values` in another order within each run of `size` of them."""
    return values[np.lexsort((rng.random(len(values)), np.arange(len(values)) // size))]
