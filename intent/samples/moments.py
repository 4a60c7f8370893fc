"""Sample groups at given moments, straight from raw tables: what a device does.

No cut is drawn and no label is known; otherwise a group is the same to the last id as the one that
the sample job stores for the same user and moment (a test compares them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intent.errors import IntentError
from intent.features.encode import ORDER, OUTSIDE_SPAN, encode
from intent.features.history import TIME_BITS, key
from intent.features.span import Span, observed_span
from intent.features.tables import EVENT_TABLES, TABLES
from intent.features.vocabulary import Dictionaries
from intent.samples.tracks import BuildCounts, Life, history_ids, read_life
from intent.samples.units import Unit
from intent.schema import DAY_MS, Schema


def life_of(
    raw: Mapping[str, pa.Table],
    schema: Schema,
    dictionaries: Dictionaries,
    start: int | None = None,
) -> tuple[Life, dict[str, int]]:
    """Everything that raw tables tell about their users, and the unusable rows by reason.

    Args:
        raw: table name -> rows; a view of the schema without a table is empty.
        schema: of the model's data.
        dictionaries: of the model's data.
        start: where the logs begin (epoch ms); earlier rows are unusable, and daily counts end
            there. By default the first day with real traffic, as in the sample job.
    """
    records = pa.concat_tables([encode(name, rows, dictionaries) for name, rows in raw.items()])
    usable = pc.is_null(records["reason"])
    reasons = Counter(records.filter(pc.invert(usable))["reason"].to_pylist())
    records = records.filter(usable)
    event = pc.less_equal(records["kind"], max(TABLES[t].kind for t in EVENT_TABLES))
    if start is None:
        days, counts = np.unique(
            records.filter(event)["timestamp"].to_numpy() // DAY_MS, return_counts=True
        )
        if not len(days):
            raise IntentError(
                f"the logs hold no usable action (tables: {', '.join(raw)}; unusable rows: "
                f"{dict(reasons) or 'none'})"
            )
        by_day = dict(zip(days.tolist(), counts.tolist(), strict=True))
        start = observed_span(by_day, by_day).start  # the end is of no interest here
    early = pc.and_(event, pc.less(records["timestamp"], start))
    if pc.any(early).as_py():
        reasons[OUTSIDE_SPAN] += pc.sum(early).as_py()
        records = records.filter(pc.invert(early))
    records = records.sort_by([(name, "ascending") for name in ORDER])
    return read_life(records, schema, Span(start, 2**62), BuildCounts()), dict(reasons)


def groups_at(life: Life, users: np.ndarray, times: np.ndarray, schema: Schema) -> Unit:
    """The groups of users at moments, as a unit whose `inputs` gives the model's arrays.

    Args:
        users: [n] codes into `life.users`.
        times: [n] epoch ms.
    """
    at = key(users, times)
    names = [v.name for v in schema.views]
    return Unit(
        schema=schema,
        ids=life.ids,
        times={n: life.keys[n] & ((1 << TIME_BITS) - 1) for n in names},
        low={n: np.searchsorted(life.keys[n], at >> TIME_BITS << TIME_BITS) for n in names},
        end={n: np.searchsorted(life.keys[n], at, "right") for n in names},
        at=np.asarray(times, np.int64),
        labels=np.zeros((len(at), len(schema.tasks)), np.uint8),
        history=history_ids(life, at, schema) if schema.history else None,
        profile=life.profile[users] if schema.profile else None,
        users=life.users.to_numpy(zero_copy_only=False)[users],
    )


def seen_by(life: Life, moment: int) -> np.ndarray:
    """Codes of the users who did something at or before `moment` (epoch ms)."""
    users = np.arange(len(life.users))
    seen = np.zeros(len(users), bool)
    for keys in life.keys.values():
        before = np.searchsorted(keys, key(users, np.full(len(users), moment)), "right")
        seen |= before > np.searchsorted(keys, users << TIME_BITS)
    return users[seen]
