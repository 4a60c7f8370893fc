"""The raw tables of a shop (DESIGN: raw events) as Arrow schemas, and codes as Arrow tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from intent.simulate.catalogue import Catalogue
from intent.simulate.emission import TYPES
from intent.simulate.people import People

ACTIONS = ("open_page", "leave_page", "swipe", "tap")
EVENTS = ("page", "button")
TABLES = ("touch", "tap", "browse", "profile", "history")
VIEWS = TABLES[:3]
HISTORY_COLUMNS = ("collect", "cart", "purchase")
PROFILE_COLUMNS = ("age_level", "gender", "buyer_star", "tm_level", "vip_level", "phone_price")

_text, _time, _real, _level = pa.string(), pa.int64(), pa.float32(), pa.int32()
_POSITIONS = ("x", "y", "start_x", "start_y", "end_x", "end_y")

SCHEMAS = {
    "touch": pa.schema(
        [("user_id", _text), ("timestamp", _time), ("action", _text), ("page", _text)]
        + [(name, _real) for name in _POSITIONS]
        + [("duration_ms", _time), ("screen_width", _level), ("screen_height", _level)]
    ),
    "tap": pa.schema(
        [
            ("user_id", _text),
            ("timestamp", _time),
            ("event", _text),
            ("page", _text),
            ("button", _text),
        ]
    ),
    "browse": pa.schema(
        [("user_id", _text), ("timestamp", _time), ("type", _text), ("leaf_category", _text)]
        + [("top_category", _text), ("page", _text), ("stay_ms", _time), ("item_id", _text)]
        + [("price", _real)]
    ),
    "profile": pa.schema([("user_id", _text)] + [(name, _level) for name in PROFILE_COLUMNS]),
    "history": pa.schema(
        [("user_id", _text), ("day", _text)] + [(name, _level) for name in HISTORY_COLUMNS]
    ),
}


def user_names(index: np.ndarray) -> list[str]:
    """Names of the users with these numbers."""
    return [f"u{i:07d}" for i in index]


def _names(names: tuple[str, ...] | list[str], codes: np.ndarray) -> pa.Array:
    """[rows] strings; a code below 0 is null."""
    codes = np.asarray(codes)
    return pa.array(names, _text).take(pa.array(codes, pa.int32(), mask=codes < 0))


def _numbers(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """[rows] numbers; NaN is null."""
    missing = np.isnan(values)
    return pa.array(np.where(missing, 0, values).astype(kind.to_pandas_dtype()), kind, mask=missing)


def touch_table(rows: dict, people: People, shop: Catalogue, epoch_ms: int) -> pa.Table:
    """The paper's swipe-interactive table (Table 2a)."""
    screen = people.screen[rows["user"]].astype(np.int32)
    columns = [
        _names(user_names(people.index), rows["user"]),
        pa.array(rows["time"] + epoch_ms),
        _names(ACTIONS, rows["action"]),
        _names(shop.pages, rows["page"]),
        *(_numbers(rows[name], _real) for name in _POSITIONS),
        _numbers(rows["duration"], _time),
        pa.array(screen[:, 0]),
        pa.array(screen[:, 1]),
    ]
    return pa.table(columns, schema=SCHEMAS["touch"])


def tap_table(rows: dict, people: People, shop: Catalogue, epoch_ms: int) -> pa.Table:
    """The tap-interactive table (Table 2b); every tap of the touch table, with what it hit."""
    columns = [
        _names(user_names(people.index), rows["user"]),
        pa.array(rows["time"] + epoch_ms),
        _names(EVENTS, (rows["button"] >= 0).astype(np.int32)),
        _names(shop.pages, rows["page"]),
        _names(shop.buttons, rows["button"]),
    ]
    return pa.table(columns, schema=SCHEMAS["tap"])


def browse_table(rows: dict, people: People, shop: Catalogue, epoch_ms: int) -> pa.Table:
    """The browse-interactive table (section 3.2)."""
    items = [
        f"i{leaf:05d}-{item:02d}" for leaf, item in zip(rows["leaf"], rows["item"], strict=True)
    ]
    columns = [
        _names(user_names(people.index), rows["user"]),
        pa.array(rows["time"] + epoch_ms),
        _names(TYPES, rows["type"]),
        _names(shop.leaves, rows["leaf"]),
        _names(shop.tops, shop.leaf_top[rows["leaf"]]),
        _names(shop.pages, rows["page"]),
        pa.array(rows["stay"]),
        pa.array(items, _text),
        pa.array(rows["price"].astype(np.float32)),
    ]
    return pa.table(columns, schema=SCHEMAS["browse"])


def profile_table(levels: dict[str, np.ndarray], people: People) -> pa.Table:
    """One row per user (Table 3e)."""
    columns = [pa.array(user_names(people.index))]
    columns += [pa.array(levels[name].astype(np.int32)) for name in PROFILE_COLUMNS]
    return pa.table(columns, schema=SCHEMAS["profile"])


def history_table(counts: np.ndarray, people: People, start: np.datetime64) -> pa.Table:
    """Rows of `counts` [U, days, 3] that are not all zero; the last day is the one before."""
    user, day = np.nonzero(counts.any(axis=2))
    days = np.datetime_as_string(start + np.arange(-counts.shape[1], 0))
    columns = [_names(user_names(people.index), user), _names(list(days), day)]
    columns += [pa.array(counts[user, day, i].astype(np.int32)) for i in range(3)]
    return pa.table(columns, schema=SCHEMAS["history"])
