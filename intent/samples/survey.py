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
from intent.features.span import Span, observed_span
from intent.features.vocabulary import Dictionaries
from intent.features.words import Words
from intent.schema import DAY_MS, PAPER


@dataclass
class Survey:
    """What is counted.

    Attributes:
        rows: by table.
        days: events with a user and a time, by day since 1970.
        latest: of each day the latest event, epoch ms.
        names: dictionary key ("swipe.page") -> name -> how often.
        received: tables whose rows say when they were received.
    """

    rows: Counter = field(default_factory=Counter)
    days: Counter = field(default_factory=Counter)
    latest: dict[int, int] = field(default_factory=dict)
    names: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    received: set[str] = field(default_factory=set)

    def look_at(self, table: str, batch: pa.RecordBatch, names: bool = True) -> None:
        """Count the rows of a batch, with `names` its names too."""
        self.rows[table] += batch.num_rows
        if table not in tables.EVENT_TABLES or not batch.num_rows:
            return
        if batch.schema.get_field_index(tables.RECEIVED) >= 0:
            self.received.add(table)
        time, bad = tables.time_ms(tables.column_of(batch, "timestamp"))
        no_user = Words.of(tables.column_of(batch, "user_id")).missing
        good = ~bad & ~no_user & (time >= 0) & (time < 1 << TIME_BITS)
        days, place, n = np.unique(time[good] // DAY_MS, return_inverse=True, return_counts=True)
        latest = np.zeros(len(days), np.int64)
        np.maximum.at(latest, place, time[good])
        self.days.update(dict(zip(days.tolist(), n.tolist(), strict=True)))
        for day, last in zip(days.tolist(), latest.tolist(), strict=True):
            self.latest[day] = max(last, self.latest.get(day, 0))
        for key in vocabulary_keys(table) if names else ():
            words = Words.of(tables.column_of(batch, key.partition(".")[2]))
            counts = np.bincount(words.codes[good] + 1, minlength=len(words.names) + 1)[1:]
            seen = np.flatnonzero(counts)
            found = words.names.take(pa.array(seen)).to_pylist()
            self.names[key].update(dict(zip(found, counts[seen].tolist(), strict=True)))

    def add(self, other: Survey) -> None:
        """Add another survey to this one."""
        self.rows.update(other.rows)
        self.days.update(other.days)
        for day, last in other.latest.items():
            self.latest[day] = max(last, self.latest.get(day, 0))
        for key, counts in other.names.items():
            self.names[key].update(counts)
        self.received |= other.received

    def span(self) -> Span:
        """The observed time; IntentError where no row has a user and a time."""
        if not self.days:
            raise IntentError(
                f"none of the {self.rows.total():,} rows has a user_id and a timestamp in epoch "
                "milliseconds; nothing can be built from these logs"
            )
        return observed_span(self.days, self.latest)


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


def covered(dictionaries: Dictionaries, names: Mapping[str, Counter]) -> dict[str, tuple[int, int]]:
    """For each dictionary, how many of the names that were counted it knows: (known, all)."""
    return {
        key: (sum(counts[n] for n in dictionaries[key].names if n in counts), counts.total())
        for key, counts in names.items()
    }
