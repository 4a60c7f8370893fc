"""Bytes of a padded group on disk, as the rival's rows lie, shuffled, and sorted by user."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LEVEL = 3  # of zstd, what Spark writes with


def bytes_per_group(dense: Path, seed: int = 0) -> dict[str, float]:
    """Bytes of a group in the rival's output, by the order of its rows.

    "as_written": its own files. "shuffled": one file in random order. "sorted": by user and time.
    "apart": shuffled, and only one group of each user and day: what a page of a shuffled file
    holds when there are hundreds of millions of groups. In a small data set, a page has several
    groups of one day, whose windows overlap, and compression finds the copies that training at
    scale would not have near each other; so "apart" is what a shuffled group takes at scale.
    """
    files = sorted(dense.glob("*.parquet"))
    rows = pa.concat_tables(pq.read_table(path) for path in files).combine_chunks()
    user, time = rows["user_id"].combine_chunks().dictionary_encode(), rows["t0"].to_numpy()
    code = user.indices.to_numpy()
    shuffled = np.random.default_rng(seed).permutation(len(time))
    day = code[shuffled].astype(np.int64) << 32 | time[shuffled] // 86_400_000
    orders = {
        "shuffled": shuffled,
        "sorted": np.lexsort((time, code)),
        "apart": shuffled[np.sort(np.unique(day, return_index=True)[1])],
    }
    found = {"as_written": sum(p.stat().st_size for p in files) / len(time)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "groups.parquet"
        for name, order in orders.items():
            with pq.ParquetWriter(
                path, rows.schema, compression="zstd", compression_level=LEVEL
            ) as writer:
                writer.write_table(rows.take(pa.array(order)), row_group_size=len(order))
            found[name] = path.stat().st_size / len(order)
    return found
