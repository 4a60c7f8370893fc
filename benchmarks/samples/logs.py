"""The logs that the benchmark reads: parts of one simulated shop, and one with a heavy user."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from intent.simulate.shop import CELL
from intent.simulate.tables import TABLES


def part_of(shop: Path, out: Path, users: int) -> int:
    """Makes `out` the logs of the first `users` users of a simulated shop; how many events.

    The files are the shop's own, linked: a shop's users do not depend on how many there are.
    `users` is a multiple of the shop's cell.
    """
    if users % CELL:
        raise ValueError(f"{users} users are no multiple of a cell of {CELL}")
    events = 0
    for table in TABLES:
        (out / table).mkdir(parents=True)
        for cell in range(users // CELL):
            name = f"part-{cell:05d}.parquet"
            os.link(shop / table / name, out / table / name)
            if table not in ("profile", "history"):
                events += pq.read_metadata(shop / table / name).num_rows
    return events


def with_heavy_user(logs: Path, out: Path, times: int) -> tuple[str, float]:
    """Copies `logs` with one user who has the events of many; her name, and how many medians.

    The users of median activity whose rows she takes over are `times` in number; their profiles
    and earlier history stay theirs.
    """
    user = pa.concat_tables(
        pq.read_table(path, columns=["user_id"])
        for table in ("touch", "tap", "browse")
        for path in sorted((logs / table).glob("*.parquet"))
    )["user_id"]
    counts = user.value_counts()
    names = counts.field("values").to_numpy(zero_copy_only=False)
    sizes = counts.field("counts").to_numpy()
    if len(names) < 2 * times:
        raise ValueError(f"{len(names)} users are too few for one with the events of {times}")
    nearest = np.lexsort((names, np.abs(sizes - np.median(sizes))))[:times]
    heavy = min(names[nearest])
    merged = pa.array(names[nearest], pa.string())
    for table in TABLES:
        (out / table).mkdir(parents=True)
        for path in sorted((logs / table).glob("*.parquet")):
            rows = pq.read_table(path)
            if table not in ("profile", "history"):
                hers = pc.is_in(rows["user_id"], merged)
                rows = rows.set_column(0, "user_id", pc.if_else(hers, heavy, rows["user_id"]))
            pq.write_table(rows, out / table / path.name, compression="zstd")
    return heavy, float(sizes[nearest].sum() / np.median(sizes))
