"""The first look at the logs: how many rows, on which days, with which names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from intent.errors import IntentError
from intent.features import tables
from intent.features.history import TIME_BITS
from intent.features.span import Span, observed_spans, together
from intent.features.vocabulary import Dictionaries
from intent.features.words import Words
from intent.schema import DAY_MS, PAPER

# Names that are counted of each dictionary, some ten times those of the largest; beyond twice as
# many, the rarest are forgotten. They do not come near a dictionary, unless nothing does.
MOST_NAMES = 250_000


@dataclass
class Survey:
    """What is counted.

    Attributes:
        rows: by table.
        days: table -> events with a user and a time, by day since 1970.
        latest: table -> of each day the latest event, epoch ms.
        names: dictionary key ("swipe.page") -> name -> how often.
        received: tables whose rows say when they were received.
    """

    rows: Counter = field(default_factory=Counter)
    days: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    latest: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    names: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    received: set[str] = field(default_factory=set)

    def look_at(self, table: str, batch: pa.RecordBatch, names: bool = True) -> None:
        """Count the rows of a batch, with `names` its names too."""
        self.rows[table] += batch.num_rows
        if table not in tables.EVENT_TABLES or not batch.num_rows:
            return
        if tables.column_of(batch, tables.RECEIVED).null_count < batch.num_rows:
            self.received.add(table)
        time, bad = tables.time_ms(tables.column_of(batch, "timestamp"))
        no_user = Words.of(tables.column_of(batch, "user_id")).missing
        good = ~bad & ~no_user & (time >= 0) & (time < 1 << TIME_BITS)
        days, place, n = np.unique(time[good] // DAY_MS, return_inverse=True, return_counts=True)
        latest = np.zeros(len(days), np.int64)
        np.maximum.at(latest, place, time[good])
        self._note_days(
            table,
            dict(zip(days.tolist(), n.tolist(), strict=True)),
            dict(zip(days.tolist(), latest.tolist(), strict=True)),
        )
        for key in vocabulary_keys(table) if names else ():
            words = Words.of(tables.column_of(batch, key.partition(".")[2]))
            counts = np.bincount(words.codes[good] + 1, minlength=len(words.names) + 1)[1:]
            seen = np.flatnonzero(counts)
            found = words.names.take(pa.array(seen)).to_pylist()
            self._note_names(key, dict(zip(found, counts[seen].tolist(), strict=True)))

    def add(self, other: Survey) -> None:
        """Add another survey to this one."""
        self.rows.update(other.rows)
        for table, counts in other.days.items():
            self._note_days(table, counts, other.latest[table])
        for key, counts in other.names.items():
            self._note_names(key, counts)
        self.received |= other.received

    def _note_days(self, table: str, counts: Mapping[int, int], latest: Mapping[int, int]) -> None:
        self.days[table].update(counts)
        known = self.latest[table]
        for day, last in latest.items():
            known[day] = max(last, known.get(day, 0))

    def _note_names(self, key: str, counts: Mapping[str, int]) -> None:
        known = self.names[key]
        known.update(counts)
        if len(known) > 2 * MOST_NAMES:  # a column of almost only different names
            self.names[key] = Counter(dict(known.most_common(MOST_NAMES)))

    def span(self) -> Span:
        """The observed time; IntentError where no row has a user and a time."""
        if not any(self.days.values()):
            raise IntentError(
                f"none of the {self.rows.total():,} rows has a user_id and a timestamp in epoch "
                "milliseconds; nothing can be built from these logs"
            )
        return together(observed_spans(self.days, self.latest))

    def browse(self) -> Span:
        """The time that the browse table covers: counts and labels come from there alone."""
        if not self.days["browse"]:
            raise IntentError(
                "no row of the table browse has a user_id and a timestamp in epoch milliseconds, "
                "and its purchases make the labels; nothing can be built from these logs"
            )
        return observed_spans(self.days, self.latest)["browse"]


def vocabulary_keys(table: str) -> list[str]:
    """Dictionary keys whose names are in a raw table, such as "tap.button"."""
    view = tables.EVENT_TABLES.get(table)
    return [key for key in Dictionaries.keys(PAPER) if key.partition(".")[0] == view]


def needed_columns(table: str, names: bool = True) -> list[str]:
    """Columns of a raw table that a survey looks at."""
    if table not in tables.EVENT_TABLES:
        return ["user_id"]
    words = [key.partition(".")[2] for key in vocabulary_keys(table)] if names else []
    return list(dict.fromkeys(["user_id", "timestamp", tables.RECEIVED, *words]))


def survey(table: str, batches: Iterable[pa.RecordBatch], names: bool = True) -> Survey:
    """The survey of one table's batches."""
    found = Survey()
    for batch in batches:
        found.look_at(table, batch, names)
    return found
