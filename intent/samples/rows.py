"""How track rows become a table of cells and rows again.

Everything is done for all rows of a row group at once: there is no loop over rows but the one that
copies their bytes.

Letters: R rows, A actions of a view, C cuts and M moments of all rows, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa

from intent.errors import IntentError
from intent.samples import compact, memory, timeline
from intent.samples.cells import pack_cells, unpack_cells
from intent.samples.columnar import Rows
from intent.samples.layout import Column, arrow_schema, columns, needed_columns, view_columns
from intent.samples.parts import moment_gaps, swipe_gaps, swipe_lengths, view_ids, view_parts
from intent.schema import Schema, View

CUT = "cut"


def encode_rows(rows: Rows, schema: Schema) -> pa.Table:
    """Rows as a table of cells.

    Raises:
        IntentError: a cut's end is not the number of actions at or before it.
    """
    count = len(rows.users)
    line, at = timeline.fold({**rows.times, CUT: rows.cut_time}, {**rows.actions, CUT: rows.cuts})
    own = np.repeat(np.arange(count), rows.cuts)
    gaps = line.gaps
    parts = {  # a cast to a narrower type keeps the lowest bits
        "moment_low": (gaps.astype(np.uint8), line.moments),
        "moment_mid": ((gaps >> 8).astype(np.uint8), line.moments),
        "moment_high": (gaps >> 16, line.moments),
        "cut_step": (line.steps[CUT], rows.cuts),
        "cut_reach": (_reach(rows), rows.cuts),
        "labels": (rows.labels, rows.cuts),
    }
    for i, view in enumerate(schema.views):
        name, actions = view.name, rows.actions[view.name]
        first = timeline.first_of(actions)
        if not np.array_equal(np.searchsorted(at[name], at[CUT], "right") - first[own],
                              rows.cut_end[:, i]):  # fmt: skip
            raise IntentError(
                f"a cut's end in view {name} is not the number of actions at or before it; "
                "tracks must be in the order of time"
            )
        parts[f"{name}_step"] = (line.steps[name], actions)
        parts |= view_parts(view, rows.ids[name], rows.times[name], actions)
    parts["history"] = (rows.history, rows.cuts)
    if schema.profile:
        parts["profile"] = (rows.profile.reshape(-1), np.full(count, len(schema.profile)))
    scalars = [pa.array(rows.users, pa.string()), pa.array(rows.cuts.astype(np.int32))]
    cells = []
    for name, column in columns(schema).items():
        values, lengths = parts[name]
        if not column.counts:
            if values.dtype.itemsize > column.dtype.itemsize and values.max(initial=0) > 255:
                raise IntentError(
                    f"an id in column {name} is {values.max()}; expected at most 255, from a "
                    "feature with so few: the schema is not that of the actions"
                )
            values = values.astype(column.dtype, copy=False)
        cells.append(pack_cells(values, lengths, column.counts))
    return pa.Table.from_arrays(
        [*scalars, pa.array(line.start), *cells], schema=arrow_schema(schema)
    )


def _reach(rows: Rows) -> np.ndarray:
    """How many ms, the cut's own included, windows reach back at most; 0 for no limit. [C]

    A session that is longer than the type can say (49 days) is no limit.
    """
    reach = np.where(rows.since > 0, rows.cut_time - rows.since + 1, 0)
    return np.where(reach < 2**32, reach, 0)


def decode_rows(
    table: pa.Table, stored: Schema, schema: Schema, times: Collection[str] | None = None
) -> Rows:
    """The inverse of `encode_rows`.

    Args:
        table: some rows, at least one, with `needed_columns(schema)`.
        stored: the schema of the dataset.
        schema: what is wanted of it: some of its sources and tasks.
        times: the views whose actions' times are wanted, which others lack in the result; None is
            all.

    Raises:
        IntentError: the arrays of a row do not fit together.
    """
    memory.keep()
    values, lengths = _unpack(table, _wanted(stored, schema))
    cuts = lengths["cut_step"]
    views = [v.name for v in schema.views]
    actions = {n: lengths[f"{n}_step"] for n in views}
    swipe = next((v.name for v in schema.views if compact.is_swipe(v)), None)
    of_swipe = compact.kinds(values[f"{swipe}_action"]) if swipe else None
    if not _fit(schema, values, lengths, table["groups"].to_numpy(), of_swipe):
        raise IntentError("the arrays of a row do not fit together; the shard is damaged")
    gaps, gap_ids = moment_gaps(*(values[f"moment_{n}"] for n in ("low", "mid", "high")))
    moments = lengths["moment_low"]
    clock = timeline.Clock.of(table["start"].to_numpy(), gaps, moments)
    own = np.repeat(np.arange(len(cuts)), cuts)
    ids, ends = {}, []
    try:
        line = {
            n: timeline.Series.of(values[f"{n}_step"], lengths[f"{n}_step"], clock.first, moments)
            for n in (*views, CUT)
        }
        at = line[CUT].moments()
        for view in schema.views:
            name = view.name
            ends.append(line[name].until(at) - timeline.first_of(actions[name])[own])
            gap = swipe_gaps(line[name], gaps, gap_ids, actions[name]) if name == swipe else None
            ids[name] = view_ids(view, values, lengths, gap, of_swipe)
    except ValueError as error:
        raise IntentError(f"{error}; the shard is damaged") from None
    tasks = [stored.tasks.index(t) for t in schema.tasks]
    cut_time, reach = clock.times(at, cuts), values["cut_reach"].astype(np.int64)
    nothing = np.zeros((len(at), 0), np.uint8)
    return Rows(
        users=table["user_id"].to_numpy(),
        ids=ids,
        times={
            n: clock.times(line[n].moments(), actions[n])
            for n in views
            if times is None or n in times
        },
        actions=actions,
        cut_time=cut_time,
        cuts=cuts,
        cut_end=np.stack(ends, axis=1) if ends else nothing.astype(np.int64),
        labels=values["labels"][:, tasks],
        history=values["history"] if schema.history else nothing,
        profile=values["profile"].reshape(len(cuts), -1)
        if schema.profile
        else np.zeros((len(cuts), 0), np.uint8),
        since=np.where(reach > 0, cut_time + 1 - reach, 0),
    )


@cache
@lru_cache(maxsize=16)
def _wanted(stored: Schema, schema: Schema) -> dict[str, Column]:
    """The columns that `schema` needs."""
    kinds = columns(stored)
    return {n: kinds[n] for n in needed_columns(schema) if n in kinds}


@lru_cache(maxsize=16)
def _of_view(view: View) -> tuple[str, ...]:
    return tuple(view_columns(view))


def _unpack(
    table: pa.Table, kinds: dict[str, Column]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The values of all cells of each column, and how many each row has."""
    chunks = [table[n] for n in kinds]
    cells = [c.chunk(0) if c.num_chunks == 1 else c.combine_chunks() for c in chunks]  # one copies
    found = unpack_cells(cells, [(c.dtype, c.tail, c.counts) for c in kinds.values()])
    values = {n: v for n, (v, _) in zip(kinds, found, strict=True)}
    return values, {n: length for n, (_, length) in zip(kinds, found, strict=True)}


def _fit(
    schema: Schema,
    values: dict[str, np.ndarray],
    lengths: dict[str, np.ndarray],
    groups: np.ndarray,
    of_swipe: tuple[np.ndarray, np.ndarray] | None,
) -> bool:
    """Whether arrays that belong together have the same length in every row."""
    expected = dict.fromkeys(("labels", "cut_step", "cut_reach", "history"), groups)
    expected |= dict.fromkeys(("moment_mid", "moment_high"), lengths["moment_low"])
    expected["profile"] = np.full(len(groups), len(schema.profile))
    for view in schema.views:
        name, actions = view.name, lengths[f"{view.name}_step"]
        expected |= dict.fromkeys(_of_view(view), actions)
        if compact.is_swipe(view):
            if len(values[f"{name}_action"]) != actions.sum():
                return False
            swipe = swipe_lengths(of_swipe, actions, lengths[f"{name}_odd"])
            expected |= {f"{name}_{n}": found for n, found in swipe.items()}
    names = [n for n in lengths if n in expected]
    return np.array_equal([lengths[n] for n in names], [expected[n] for n in names])


def content(table: pa.Table, day: str) -> int:
    """The rows' part of the content hash: a sum, so that it does not depend on their order.

    Args:
        table: rows as `encode_rows` gives them.
        day: YYYY-MM-DD.
    """
    of_row = [name for name in table.column_names if name not in ("user_id", "groups")]
    base = hashlib.sha256(f"{day} {' '.join(of_row)}".encode())
    users = [user.encode() for user in table["user_id"].to_pylist()]
    start = table["start"].to_numpy().astype("<i8").tobytes()
    cells = []
    for name in of_row:
        column = table[name].combine_chunks()
        if name != "start":
            bounds = np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: len(users) + 1]
            cells.append((memoryview(column.buffers()[2]), bounds.tolist()))
    total = 0
    for r, user in enumerate(users):
        digest = base.copy()
        first = start[8 * r : 8 * r + 8]
        digest.update(b"".join([user, b"\0", first, *[m[b[r] : b[r + 1]] for m, b in cells]]))
        total += int.from_bytes(digest.digest()[:16], "big")
    return total
