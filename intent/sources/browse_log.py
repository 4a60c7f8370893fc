"""What every source needs: its rows as our `browse` table, written whole or not at all.

Nothing is thrown away here. A row that cannot be understood is written too, as its original text
in the column `BROKEN_ROW` and nothing else; `intent samples` puts it into quarantine with a reason
and counts it there. So rows in = rows written, always.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from intent.errors import IntentError
from intent.features.encode import BROKEN_ROW

BROWSE = pa.schema(  # DESIGN 3.1
    [
        ("user_id", pa.string()),
        ("timestamp", pa.int64()),
        ("type", pa.string()),
        ("leaf_category", pa.string()),
        ("top_category", pa.string()),
        ("page", pa.string()),
        ("stay_ms", pa.float32()),
        ("item_id", pa.string()),
        ("price", pa.float32()),
        (BROKEN_ROW, pa.string()),
    ]
)
RECORD_FILE = "import.json"


def browse_rows(rows: int, **columns: pa.Array) -> pa.Table:
    """A table of the schema `BROWSE`, null in every column that is not given."""
    arrays = [columns.get(f.name, pa.nulls(rows, f.type)) for f in BROWSE]
    return pa.table(arrays, schema=BROWSE)


def broken_rows(lines: Iterable[str]) -> pa.Table:
    """Rows that could not be understood, as their original text."""
    lines = list(lines)
    return browse_rows(len(lines), **{BROKEN_ROW: pa.array(lines, pa.string())})


def renamed(types: pa.Array | pa.ChunkedArray, names: dict[str, str]) -> pa.Array:
    """The source's behaviours as ours; one that is not in `names` stays and is quarantined."""
    found = pc.index_in(types, value_set=pa.array(list(names)))
    ours = pa.array(list(names.values())).take(found)
    return pc.coalesce(ours, types)


def whole_number(text: pa.Array | pa.ChunkedArray, digits: int) -> pa.Array:
    """Text of at most `digits` digits as int64, null for any other text."""
    plain = pc.match_substring_regex(text, f"^[0-9]{{1,{digits}}}$")
    return pc.if_else(plain, text, pa.scalar(None, pa.string())).cast(pa.int64())


def the_file(src: Path, suffixes: tuple[str, ...]) -> Path:
    """`src`, or the only file in folder `src` with one of `suffixes`; else IntentError."""
    if src.is_file():
        return src
    if not src.is_dir():
        raise IntentError(f"there is no file or folder {src}")
    found = sorted(p for p in src.iterdir() if p.name.endswith(suffixes))
    if len(found) != 1:
        raise IntentError(
            f"{src} has {len(found)} files that end in {' or '.join(suffixes)}; name the file"
        )
    return found[0]


def write(
    source: str,
    src: Path,
    out: Path,
    blocks: Iterable[pa.Table],
    advance: Callable[[int], object],
) -> dict:
    """Write `blocks` (tables of schema `BROWSE`) as OUT/browse/part-0.parquet, atomically.

    On any error the folder holds what it held before.

    Returns:
        source, file, rows (written), users, first and last (epoch ms), types (rows by type),
        broken (rows that could not be understood); also kept in OUT/import.json.
    """
    fresh = not out.exists()
    if not fresh and any(out.iterdir()) and not (out / RECORD_FILE).is_file():
        raise IntentError(f"{out} is not empty and no earlier import wrote it; give another --out")
    table = out / "browse" / "part-0.parquet"
    hidden = table.with_name(".part-0.parquet.unfinished")
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        summary = {"source": source, "file": str(src)} | _write_blocks(hidden, blocks, advance)
        if not summary["rows"]:
            raise IntentError(f"{src} has no rows")
        os.replace(hidden, table)
    except BaseException as error:
        hidden.unlink(missing_ok=True)
        if fresh:
            shutil.rmtree(out, ignore_errors=True)
        # Arrow's own errors have no errno; a full disk or a missing permission has one.
        if isinstance(error, pa.ArrowException | OSError) and not getattr(error, "errno", None):
            text = " ".join(str(error).split())
            raise IntentError(f"{src} cannot be read to its end ({text}); is it whole?") from error
        raise
    record = out / f".{RECORD_FILE}"
    record.write_text(json.dumps(summary, indent=1) + "\n")
    os.replace(record, out / RECORD_FILE)
    return summary


def _write_blocks(path: Path, blocks: Iterable[pa.Table], advance: Callable[[int], object]) -> dict:
    """Writes the blocks to `path` and counts what is in them."""
    rows, broken, types, users, times = 0, 0, Counter(), set(), []
    with pq.ParquetWriter(path, BROWSE, compression="zstd") as writer:
        for block in blocks:
            writer.write_table(block)
            rows += block.num_rows
            broken += block.num_rows - block[BROKEN_ROW].null_count
            for count in pc.value_counts(block["type"]).to_pylist():
                types[count["values"]] += count["counts"]
            users.update(pc.unique(block["user_id"]).to_pylist())
            extent = pc.min_max(block["timestamp"]).as_py()
            times += [t for t in extent.values() if t is not None]
            advance(block.num_rows)
    types.pop(None, None)
    return {
        "rows": rows,
        "users": len(users - {None}),
        "first": min(times, default=None),
        "last": max(times, default=None),
        "types": dict(types.most_common()),
        "broken": broken,
    }
