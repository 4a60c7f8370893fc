"""Finds one sample group in a dataset: which user, which cut. For looking at it, not for speed.

A user has one row a day (in the layout "groups" a few neighbouring ones). Of a day's shards only
the column with the users is read until the row is found; then its row group, and of that the row.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import closing
from shlex import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intent.errors import IntentError, UsageError
from intent.report.words import plural
from intent.samples import regroup
from intent.samples.columnar import Rows
from intent.samples.manifest import Manifest, Shard
from intent.samples.rowgroups import read_row_groups
from intent.samples.rows import decode_rows
from intent.samples.units import Unit, needed_columns, unit_of

USER = "user_id"
READERS = 8  # of the users' column: what it costs is to ask, on a store above all
COMPARED = 10_000  # names among which the nearest are looked for
HINTS = 5


def user_days(root: str, manifest: Manifest, user: str, until: int | None = None) -> Iterator[Unit]:
    """The groups of a user, a day at a time, the latest day first.

    Args:
        root: the dataset, a folder or a URL.
        until: epoch ms; days after it are not looked at.

    Raises:
        IntentError: a shard cannot be read.
    """
    for day in reversed(manifest.days):
        if until is not None and np.datetime64(day, "ms").astype(np.int64) > until:
            continue
        shards = [s for s in manifest.shards if s.day == day]
        rows = _rows_of(str(root), shards, user)
        if rows:
            yield _unit(str(root), manifest, rows)


def cuts_of(root: str, manifest: Manifest, user: str) -> list[Unit]:
    """All groups of a user, a unit for each day, in order; IntentError where there are none."""
    days = list(user_days(root, manifest, user))[::-1]
    if not days:
        raise _unknown_user(root, manifest, user)
    return days


def group_at(root: str, manifest: Manifest, user: str, moment: int) -> tuple[Unit, int]:
    """A user's group with the last cut at or before `moment` (epoch ms): (unit, index in it).

    Raises:
        IntentError: there is no such user, or no cut of that user so early.
    """
    for unit in user_days(root, manifest, user, until=moment):
        index = int(np.searchsorted(unit.at, moment, "right")) - 1
        if index >= 0:
            return unit, index
    first = cuts_of(root, manifest, user)[0].at[0]
    raise IntentError(
        f"{root}: user {user!r} has no cut at or before {iso(moment)}; the first one is at "
        f"{iso(first)}; all are listed by: intent samples peek {root} --user {quote(user)}"
    )


def some_users(root: str, manifest: Manifest) -> list[str]:
    """A few users of the dataset, for somebody who knows none."""
    shard = next((s for s in manifest.shards if s.rows), None)
    if shard is None:
        return []
    with closing(read_row_groups(str(root), [(shard.path, 0)], [USER], workers=1)) as tables:
        return pc.unique(next(tables)[USER]).to_pylist()[:HINTS]


def moments_of(text: str) -> tuple[int, int]:
    """The first and the last millisecond (epoch ms) of what `text` names.

    "1767702896789" is epoch ms; "2026-01-06T12:34:56.789Z" a moment, in UTC with or without the Z;
    "2026-01-06T12:34:56" that whole second and "2026-01-06" that day.

    Raises:
        UsageError: it is none of these.
    """
    if text.isdigit() and len(text) < 16:
        return int(text), int(text)
    try:
        named = np.datetime64(_without_zone(text))
    except (ValueError, OverflowError):
        raise UsageError(
            f"--at is a moment in UTC such as 2026-01-06T12:34:56.789Z, or epoch milliseconds; "
            f"got {text!r}"
        ) from None
    first, behind = (int(t.astype("datetime64[ms]").astype(np.int64)) for t in (named, named + 1))
    return first, max(first, behind - 1)


def iso(moment: int) -> str:
    """Epoch ms as "2026-01-06T12:34:56.789Z", which `moments_of` reads."""
    return f"{np.datetime64(int(moment), 'ms')}Z"


def _without_zone(text: str) -> str:
    """What NumPy reads; it would shift other zones' times with a warning only, and knows "now"."""
    text = text.strip().removesuffix("Z").removesuffix("+00:00").replace(" ", "T")
    if not text[:1].isdigit() or "+" in text or "-" in text.partition("T")[2]:
        raise ValueError
    return text


def _rows_of(root: str, shards: Sequence[Shard], user: str) -> list[tuple[str, int, np.ndarray]]:
    """Where a user's rows of a day are: (shard's path, row group, indices in it).

    They are neighbours, so what lies behind them is not read.
    """
    items = [(s.path, i) for s in shards for i in range(len(s.row_groups))]
    readers = {"workers": READERS, "prefetch": 4 * READERS}
    found = []
    with closing(read_row_groups(root, items, [USER], **readers)) as tables:
        for item, table in zip(items, tables, strict=True):
            mine = np.flatnonzero(pc.equal(table[USER], user).to_numpy())
            if len(mine):
                found.append((*item, mine))
            if found and (not len(mine) or mine[-1] + 1 < table.num_rows):
                break
    return found


def _unit(root: str, manifest: Manifest, rows: Sequence[tuple[str, int, np.ndarray]]) -> Unit:
    schema = manifest.schema
    tracks = manifest.layout == "tracks"
    columns = needed_columns(schema) if tracks else regroup.needed_columns(schema)
    items = [(path, row_group) for path, row_group, _ in rows]
    with closing(read_row_groups(root, items, columns, workers=1)) as tables:
        mine = [t.take(pa.array(r)) for t, (_, _, r) in zip(tables, rows, strict=True)]
    table = pa.concat_tables(mine).combine_chunks()
    if tracks:
        return unit_of(decode_rows(table, schema, schema), schema)
    (day,) = regroup.track_rows(iter([regroup.read_groups(table, schema)]), schema)
    return unit_of(Rows.of([day], schema), schema)


def _unknown_user(root: str, manifest: Manifest, user: str) -> IntentError:
    items = [(s.path, i) for s in manifest.shards for i in range(len(s.row_groups))]
    names: set[str] = set()
    for table in read_row_groups(str(root), items, [USER], workers=READERS, prefetch=4 * READERS):
        names.update(pc.unique(table[USER]).to_pylist())
    near = ", ".join(map(repr, nearest(user, sorted(names))))
    hint = f"the nearest names are {near}" if near else "none has a name like that"
    return IntentError(
        f"{root}: no user {user!r} among its {plural(len(names), 'user')}; {hint}. A user whose "
        "cuts were all dropped has no group"
    )


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """A few of the sorted `names` that are like `name`, those that contain it first."""
    if len(names) > COMPARED:  # only those that begin alike
        middle = bisect_left(names, name)
        names = names[max(0, middle - COMPARED // 2) : middle + COMPARED // 2]
    inside = [n for n in names if name and name in n]
    like = difflib.get_close_matches(name, names, HINTS)
    return list(dict.fromkeys([*inside, *like]))[:HINTS]
