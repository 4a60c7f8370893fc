"""How track rows become a table of cells and rows again.

Everything is done for all rows of a row group at once: there is no loop over rows but the one that
copies their bytes.

Letters: R rows, A actions of a view, C cuts and M moments of all rows, F features.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from intent.errors import IntentError
from intent.samples import compact, timeline
from intent.samples.cells import pack_cells, unpack_cells
from intent.samples.columnar import Rows
from intent.samples.layout import arrow_schema, columns, needed_columns, view_columns
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
        first = _first(actions)
        if not np.array_equal(np.searchsorted(at[name], at[CUT], "right") - first[own],
                              rows.cut_end[:, i]):  # fmt: skip
            raise IntentError(
                f"a cut's end in view {name} is not the number of actions at or before it; "
                "tracks must be in the order of time"
            )
        parts[f"{name}_step"] = (line.steps[name], actions)
        parts |= _view_parts(view, rows.ids[name], rows.times[name], actions)
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


def _view_parts(
    view: View, ids: np.ndarray, times: np.ndarray, actions: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The columns of a view's ids: (values, [R] lengths)."""
    if not compact.is_swipe(view):
        names = compact.stored_features(view)
        return {f"{view.name}_{n}": (ids[:, view.column(n)], actions) for n in names}
    first = _first(actions)
    folded, odd = compact.fold(ids, compact.expected_gap(times, first[actions > 0]))
    odds = np.diff(np.searchsorted(odd, np.r_[first, len(ids)]))
    folded["odd_step"] = np.diff(odd, prepend=0)
    begin = _first(odds)[odds > 0]
    folded["odd_step"][begin] = odd[begin] - first[odds > 0]
    lengths = _swipe_lengths(folded["action"], actions, odds)
    return {f"{view.name}_{n}": (v, lengths.get(n, actions)) for n, v in folded.items()}


def _view_ids(
    view: View,
    values: dict[str, np.ndarray],
    lengths: dict[str, np.ndarray],
    times: np.ndarray,
) -> np.ndarray:
    """The inverse of `_view_parts`: [A, F]."""
    name, actions = view.name, lengths[f"{view.name}_step"]
    if not compact.is_swipe(view):
        ids = np.zeros((view.width, len(times)), view.dtype)
        for feature in compact.stored_features(view):
            ids[view.column(feature)] = values[f"{name}_{feature}"]
        return np.ascontiguousarray(ids.T)
    first, odds = _first(actions), lengths[f"{name}_odd"]
    folded = {n: values[f"{name}_{n}"] for n in compact.SWIPE_COLUMNS}
    odd = np.cumsum(folded["odd_step"], dtype=np.int64)
    begin = _first(odds)[odds > 0]
    shift = first[odds > 0] + folded["odd_step"][begin] - odd[begin]
    odd += np.repeat(shift, odds[odds > 0])
    return compact.unfold(folded, compact.expected_gap(times, first[actions > 0]), odd)


def _swipe_lengths(
    action: np.ndarray, actions: np.ndarray, odds: np.ndarray
) -> dict[str, np.ndarray]:
    """[R] lengths of the swipe view's columns that are shorter than the track."""
    bounds = np.r_[0, np.cumsum(actions)]
    taps, swipes = (
        np.diff(np.searchsorted(np.flatnonzero(action == kind), bounds))
        for kind in (compact.TAP, compact.SWIPE_ACTION)
    )
    lengths = dict.fromkeys(compact.OF_TAPS, taps) | dict.fromkeys(compact.OF_SWIPES, swipes)
    return lengths | {"odd": odds, "odd_step": odds}


def _first(lengths: np.ndarray) -> np.ndarray:
    """Where each row begins."""
    return np.cumsum(lengths) - lengths


def decode_rows(table: pa.Table, stored: Schema, schema: Schema) -> Rows:
    """The inverse of `encode_rows`.

    Args:
        table: some rows, at least one, with `needed_columns(schema)`.
        stored: the schema of the dataset.
        schema: what is wanted of it: some of its sources and tasks.

    Raises:
        IntentError: the arrays of a row do not fit together.
    """
    kinds = columns(stored)
    values, lengths = {}, {}
    for name in needed_columns(schema):
        if name in kinds:
            c = kinds[name]
            cells = table[name].combine_chunks()
            values[name], lengths[name] = unpack_cells(cells, c.dtype, c.tail, c.counts)
    cuts = lengths["cut_step"]
    views = [v.name for v in schema.views]
    if not _fit(schema, values, lengths, table["groups"].to_numpy()):
        raise IntentError("the arrays of a row do not fit together; the shard is damaged")
    actions = {n: lengths[f"{n}_step"] for n in views}
    gaps = values["moment_low"] | values["moment_mid"].astype(np.int64) << 8
    gaps |= values["moment_high"].astype(np.int64) << 16
    line = timeline.Timeline(
        start=table["start"].to_numpy(),
        gaps=gaps,
        moments=lengths["moment_low"],
        steps={n: values[f"{n}_step"] for n in (*views, CUT)},
    )
    try:
        moments, at = timeline.unfold(line, {**actions, CUT: cuts})
    except ValueError as error:
        raise IntentError(f"{error}; the shard is damaged") from None
    times = {n: moments[at[n]] for n in views}
    own = np.repeat(np.arange(len(cuts)), cuts)
    ids, ends = {}, []
    for view in schema.views:
        name = view.name
        first = _first(actions[name])
        ends.append(np.searchsorted(at[name], at[CUT], "right") - first[own])
        ids[name] = _view_ids(view, values, lengths, times[name])
    tasks = [stored.tasks.index(t) for t in schema.tasks]
    cut_time, reach = moments[at[CUT]], values["cut_reach"].astype(np.int64)
    nothing = np.zeros((int(cuts.sum()), 0), np.uint8)
    return Rows(
        users=table["user_id"].to_numpy(),
        ids=ids,
        times=times,
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


def _fit(
    schema: Schema,
    values: dict[str, np.ndarray],
    lengths: dict[str, np.ndarray],
    groups: np.ndarray,
) -> bool:
    """Whether arrays that belong together have the same length in every row."""
    expected = dict.fromkeys(("labels", "cut_step", "cut_reach", "history"), groups)
    expected |= dict.fromkeys(("moment_mid", "moment_high"), lengths["moment_low"])
    expected["profile"] = np.full(len(groups), len(schema.profile))
    for view in schema.views:
        name, actions = view.name, lengths[f"{view.name}_step"]
        expected |= dict.fromkeys(view_columns(view), actions)
        if compact.is_swipe(view):
            action, odds = values[f"{name}_action"], lengths[f"{name}_odd"]
            if len(action) != actions.sum():
                return False
            swipe = _swipe_lengths(action, actions, odds)
            expected |= {f"{name}_{n}": found for n, found in swipe.items()}
    return all(np.array_equal(lengths[n], expected[n]) for n in lengths if n in expected)


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
