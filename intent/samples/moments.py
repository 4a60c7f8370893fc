"""Sample groups at given moments, straight from raw tables: what a device does.

No cut is drawn and no label is known; otherwise a group is the same to the last id as the one that
the sample job stores for the same user and moment (a test compares them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from intent.config import SamplesConfig
from intent.errors import IntentError
from intent.features.encode import OUTSIDE_SPAN, Limits, encode
from intent.features.history import TIME_BITS, key
from intent.features.span import Span, observed_spans, together
from intent.features.tables import EVENT_TABLES
from intent.features.vocabulary import Dictionaries
from intent.samples import exclusion
from intent.samples.cleaning import session_of, session_starts
from intent.samples.life import BuildCounts, Life, history_ids, read_life
from intent.samples.records import unpack
from intent.samples.runs import ONE_PLACE, RUN, runs
from intent.samples.units import Unit
from intent.samples.windows import RECENT_MS, age_column
from intent.schema import DAY_MS, Schema


def life_of(
    raw: Mapping[str, pa.Table],
    schema: Schema,
    dictionaries: Dictionaries,
    start: int | None = None,
    settings: SamplesConfig | None = None,
) -> tuple[Life, dict[str, int]]:
    """Everything that raw tables tell about their users, and the unusable rows by reason.

    Args:
        raw: table name -> rows; a view of the schema without a table is empty.
        schema: of the model's data.
        dictionaries: of the model's data.
        start: where the logs begin (epoch ms); earlier rows are unusable, and daily counts end
            there. By default the first day with real traffic, as in the sample job.
        settings: of the model's data: how its rows were cleaned, and which actions its windows do
            not show; bots are not looked for.
    """
    encoded = {
        name: (encode(name, rows, dictionaries), rows)
        for name, rows in raw.items()
        if rows.num_rows
    }
    reasons = Counter(r for e, _ in encoded.values() for r in e.reasons if r is not None)
    days = {
        name: Counter((piece.time[piece.fault == 0] // DAY_MS).tolist())
        for name, (piece, _) in encoded.items()
        if name in EVENT_TABLES
    }
    if not any(days.values()) and start is None:
        raise IntentError(
            f"the logs hold no usable action (tables: {', '.join(raw)}; unusable rows: "
            f"{dict(reasons) or 'none'})"
        )
    counted_from = start  # daily counts end where browse begins; ends are of no interest here
    if start is None:
        spans = observed_spans(days, days)
        start = together(spans).start
        counted_from = spans["browse"].start if "browse" in spans else start
    span = Span(start, 1 << TIME_BITS)
    for name, (piece, _) in encoded.items():
        if name in EVENT_TABLES:
            reasons[OUTSIDE_SPAN] += int(((piece.fault == 0) & (piece.time < start)).sum())
    pieces = [encode(name, rows, dictionaries, Limits(span)) for name, (_, rows) in encoded.items()]
    packed = [run for piece in pieces for run in runs([piece], ONE_PLACE)]
    records, _ = unpack(pa.Table.from_batches(packed, RUN), ONE_PLACE.buckets)
    # Who asks for a user's score shall have it, so nobody is a bot here.
    humane = {"bot_actions_per_minute": None, "bot_regularity": None}
    settings = (settings or SamplesConfig()).model_copy(update=humane)
    hidden = exclusion.resolve(settings.exclude, schema, dictionaries)
    life = read_life(records, schema, counted_from, BuildCounts(), settings, hidden)
    return life, +reasons


def groups_at(
    life: Life,
    users: np.ndarray,
    times: np.ndarray,
    schema: Schema,
    session_gap_ms: int | None = None,
) -> Unit:
    """The groups of users at moments, as a unit whose `inputs` gives the model's arrays.

    Args:
        users: [n] codes into `life.users`.
        times: [n] epoch ms.
        session_gap_ms: where the samples have it, windows reach back to the start of the session
            that the moment lies in, or that came last before it.
    """
    at = key(users, times)
    begin = user = at >> TIME_BITS << TIME_BITS
    if session_gap_ms is not None:
        begin = session_of(at, session_starts(life.moments(), session_gap_ms))
    names = [v.name for v in schema.views]
    return Unit(
        schema=schema,
        ids=life.ids,
        times={n: life.keys[n] & ((1 << TIME_BITS) - 1) for n in names},
        low={n: np.searchsorted(life.keys[n], begin) for n in names},
        end={n: np.searchsorted(life.keys[n], at, "right") for n in names},
        recent={
            v.name: np.searchsorted(life.keys[v.name], np.maximum(at - RECENT_MS + 1, user))
            for v in schema.views
            if age_column(v) is not None
        },
        at=np.asarray(times, np.int64),
        labels=np.zeros((len(at), len(schema.tasks)), np.uint8),
        history=history_ids(life, at, schema) if schema.history else None,
        profile=life.profile[users] if schema.profile else None,
        users=life.users.to_numpy(zero_copy_only=False)[users],
        rows=np.arange(len(at)),
        since=np.zeros_like(at) if session_gap_ms is None else begin & ((1 << TIME_BITS) - 1),
    )


def seen_by(life: Life, moment: int) -> np.ndarray:
    """Codes of the users who did something at or before `moment` (epoch ms)."""
    users = np.arange(len(life.users))
    seen = np.zeros(len(users), bool)
    for keys in life.keys.values():
        before = np.searchsorted(keys, key(users, np.full(len(users), moment)), "right")
        seen |= before > np.searchsorted(keys, users << TIME_BITS)
    return users[seen]
