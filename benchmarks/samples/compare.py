"""Are the rival's groups ours? Every window id, label, history count and profile is compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from intent.samples import manifest as manifests
from intent.samples.rowgroups import read_row_groups
from intent.samples.units import Unit, needed_columns, read_unit


def units(samples: Path) -> Iterator[Unit]:
    """All row groups of a dataset of ours."""
    found = manifests.load(samples)
    items = [(s.path, i) for s in found.shards for i in range(len(s.row_groups))]
    for table in read_row_groups(str(samples), items, needed_columns(found.schema)):
        yield read_unit(table, found.schema, found.schema)


def write_cuts(samples: Path, out: Path) -> int:
    """Writes (user_id, t0) of every group of ours, the rival's list of moments; how many."""
    parts = [pa.table({"user_id": list(u.users), "t0": u.at}) for u in units(samples)]
    table = pa.concat_tables(parts)
    pq.write_table(table, out, row_group_size=1 << 16)
    return table.num_rows


def matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """A list column as int64 [rows, width]; ValueError where a list has another length."""
    lists = column.combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False)
    if lists.null_count or (np.diff(lists.offsets.to_numpy()) != width).any():
        raise ValueError(f"expected lists of {width} values in every row")
    return values.reshape(len(lists), width).astype(np.int64)


def differences(samples: Path, dense: Path) -> dict[str, int]:
    """Groups that differ, by what differs in them; {} where both datasets are the same.

    Args:
        samples: a dataset of ours.
        dense: the rival's folder of Parquet files.

    Every group of either side is looked at; one that only one side has counts as "missing" (not in
    the rival's) or "extra". Memory holds one file of the rival's and one row group of ours.
    """
    where: dict[tuple[str, int], tuple[int, int]] = {}
    files = sorted(dense.glob("*.parquet"))
    for f, path in enumerate(files):
        keys = pq.read_table(path, columns=["user_id", "t0"])
        users, times = (keys[name].to_pylist() for name in keys.column_names)
        where |= {key: (f, i) for i, key in enumerate(zip(users, times, strict=True))}
    total = sum(pq.read_metadata(p).num_rows for p in files)
    bad = {"repeated": total - len(where)}
    loaded: dict[int, pa.Table] = {}
    for unit in units(samples):
        places = [where.pop((u, int(t)), None) for u, t in zip(unit.users, unit.at, strict=True)]
        bad["missing"] = bad.get("missing", 0) + sum(p is None for p in places)
        for f in sorted({p[0] for p in places if p}):
            mine = np.array([i for i, p in enumerate(places) if p and p[0] == f])
            theirs = pa.array([places[i][1] for i in mine])
            if f not in loaded:
                loaded = {f: pq.read_table(files[f])}
            _compare(unit, mine, loaded[f].take(theirs), bad)
    bad["extra"] = len(where)
    return {name: int(n) for name, n in bad.items() if n}


def _compare(unit: Unit, mine: np.ndarray, theirs: pa.Table, bad: dict[str, int]) -> None:
    inputs, length = unit.inputs(mine), unit.schema.length
    for k, task in enumerate(unit.schema.tasks):
        name = f"label_{task.name}"
        wrong = theirs[name].to_numpy() != unit.labels[mine, k]
        bad[name] = bad.get(name, 0) + int(wrong.sum())
    pairs = {n: (inputs[n], matrix(theirs[n], inputs[n].shape[1])) for n in ("history", "profile")}
    for view in unit.schema.views:
        for k, feature in enumerate(view.features):
            name = f"{view.name}_{feature.name}"
            pairs[name] = (inputs[view.name][:, :, k], matrix(theirs[name], length))
    for name, (a, b) in pairs.items():
        bad[name] = bad.get(name, 0) + int((a != b).any(axis=1).sum())
