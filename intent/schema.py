"""Table 3 of the paper as data: which features an action has, and how many ids each one takes.

Every dictionary size and every embedding size of the project is written in this file, once.

Ids. 0 is padding, and inside a real action it means "does not apply" (a swipe has no tap
position). A vocabulary feature (`unknown=True`) keeps id 1 for names outside its dictionary and
numbers its names from 2; every other feature numbers its levels from 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True)
class Feature:
    """One column of ids.

    Attributes:
        name: the column, e.g. "page".
        dictionary: number of levels or names ("Dictionary Dim" of Table 3).
        embedding: width of its embedding ("Embedding Dim" of Table 3).
        unknown: whether this is a vocabulary feature, whose id 1 stands for unknown names.
    """

    name: str
    dictionary: int
    embedding: int
    unknown: bool = False

    @property
    def rows(self) -> int:
        """Rows of the embedding table: the dictionary, padding, and unknown where it exists."""
        return self.dictionary + 1 + int(self.unknown)


@dataclass(frozen=True)
class View:
    """One behaviour sequence: the features of each of its actions.

    Attributes:
        name: "swipe", "tap" or "browse".
        features: the columns of an action, in the order in which they are packed.
        marker: the feature that is never 0 in a real action; where it is 0, there is padding.
    """

    name: str
    features: tuple[Feature, ...]
    marker: str

    @property
    def dtype(self) -> np.dtype:
        """The narrowest unsigned type that holds every id of the view."""
        return narrowest(self.features)

    @property
    def width(self) -> int:
        """Features per action."""
        return len(self.features)

    def column(self, name: str) -> int:
        """Position of feature `name`; ValueError names the features there are."""
        names = [f.name for f in self.features]
        if name not in names:
            raise ValueError(f"view {self.name} has no feature {name!r}; it has {', '.join(names)}")
        return names.index(name)

    @property
    def marker_column(self) -> int:
        """Position of the marker feature."""
        return self.column(self.marker)


@dataclass(frozen=True)
class Task:
    """A question asked at a cut t0: is there a purchase in (t0, t0 + horizon]?"""

    name: str
    horizon_ms: int


@dataclass(frozen=True)
class Schema:
    """What a sample group consists of. Its hash ties data, model and device bundle together."""

    views: tuple[View, ...]
    history: tuple[Feature, ...]
    profile: tuple[Feature, ...]
    tasks: tuple[Task, ...]
    length: int = 256

    def view(self, name: str) -> View:
        """The view called `name`; KeyError names the views there are."""
        for view in self.views:
            if view.name == name:
                return view
        raise KeyError(f"no view {name!r}; this schema has {[v.name for v in self.views]}")

    def keep(self, sources: Iterable[str]) -> Schema:
        """This schema reduced to `sources`, any of the view names, "history" and "profile"."""
        sources = set(sources)
        known = {v.name for v in self.views} | {"history", "profile"}
        if sources - known:
            raise ValueError(f"unknown source {sorted(sources - known)}; known: {sorted(known)}")
        return replace(
            self,
            views=tuple(v for v in self.views if v.name in sources),
            history=self.history if "history" in sources else (),
            profile=self.profile if "profile" in sources else (),
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of everything a group carries: its views, then "history" and "profile"."""
        extra = [n for n in ("history", "profile") if getattr(self, n)]
        return (*(v.name for v in self.views), *extra)

    def to_dict(self) -> dict:
        """Plain lists and dicts, for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict) -> Schema:
        """The inverse of `to_dict`."""

        def features(rows: Iterable[dict]) -> tuple[Feature, ...]:
            return tuple(Feature(**row) for row in rows)

        return Schema(
            views=tuple(
                View(v["name"], features(v["features"]), v["marker"]) for v in data["views"]
            ),
            history=features(data["history"]),
            profile=features(data["profile"]),
            tasks=tuple(Task(**t) for t in data["tasks"]),
            length=data["length"],
        )

    def hash(self) -> str:
        """16 hex digits that change with any id, size, order, horizon or length."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def narrowest(features: Iterable[Feature]) -> np.dtype:
    """uint8 where every id of `features` fits into it, else uint16."""
    return np.dtype("u1" if max((f.rows for f in features), default=0) <= 256 else "<u2")


SWIPE = View(  # Table 3a
    "swipe",
    (
        Feature("page", 224, 32, unknown=True),
        Feature("action", 4, 4),
        Feature("time_gap", 20, 8),
        Feature("tap_x", 17, 8),
        Feature("tap_y", 25, 8),
        Feature("start_x", 17, 8),
        Feature("start_y", 25, 8),
        Feature("end_x", 17, 8),
        Feature("end_y", 25, 8),
        Feature("length_x", 34, 8),
        Feature("length_y", 50, 16),
        Feature("right_left", 2, 2),
        Feature("up_down", 2, 2),
        Feature("duration", 20, 8),
    ),
    marker="action",
)

TAP = View(  # Table 3b
    "tap",
    (
        Feature("event", 2, 2),
        Feature("page", 200, 16, unknown=True),
        Feature("button", 500, 32, unknown=True),
    ),
    marker="event",
)

BROWSE = View(  # Table 3c; "age" is its Timestamp row: the age of the action at the cut
    "browse",
    (
        Feature("type", 6, 4),
        Feature("leaf_category", 19011, 32, unknown=True),
        Feature("top_category", 102, 16, unknown=True),
        Feature("page", 181, 16, unknown=True),
        Feature("stay_time", 179, 16),
        Feature("age", 25, 4),
    ),
    marker="type",
)

HISTORY_ACTIONS = ("collect", "cart", "purchase")
# Section 3.2 names six windows; Table 3d gives sizes for the first and the last, the four between
# are ours and grow evenly from one to the other.
HISTORY_WINDOWS = (  # name, days, dictionary, embedding
    ("1w", 7, 20, 8),
    ("2w", 14, 20, 8),
    ("1m", 30, 40, 8),
    ("3m", 91, 60, 16),
    ("6m", 182, 80, 16),
    ("1y", 365, 100, 16),
)
HISTORY = tuple(
    Feature(f"{action}_{name}", size, width)
    for action in HISTORY_ACTIONS
    for name, _, size, width in HISTORY_WINDOWS
)

PROFILE = (  # Table 3e
    Feature("age_level", 9, 4),
    Feature("gender", 3, 2),
    Feature("buyer_star", 17, 8),
    Feature("tm_level", 6, 4),
    Feature("vip_level", 8, 4),
    Feature("phone_price", 11, 4),
)

TASKS = (Task("realtime", HOUR_MS), Task("longterm", DAY_MS))  # section 4.4

PAPER = Schema(views=(SWIPE, TAP, BROWSE), history=HISTORY, profile=PROFILE, tasks=TASKS)
