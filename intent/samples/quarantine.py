"""Unusable rows and their reasons, in Parquet files beside the samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from intent import storage

QUARANTINE = "_quarantine"  # readers of a dataset pass over names that begin so
QUARANTINE_ROW = pa.schema([("table", pa.string()), ("reason", pa.string()), ("row", pa.string())])


class QuarantineWriter:
    """Writes a task's unusable rows to one file as they come; without any there is no file."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.counts: Counter = Counter()
        self._temporary: Path | None = None
        self._writer: pq.ParquetWriter | None = None

    def add(self, entries: Sequence[dict]) -> None:
        """Append rows; in an order of their own, so that the same rows give the same file."""
        if not entries:
            return
        columns = {"table": "table", "reason": "reason", "row": "raw"}
        data = {name: [e[key] for e in entries] for name, key in columns.items()}
        table = pa.table(data, schema=QUARANTINE_ROW)
        if self._writer is None:
            self._temporary = storage.scratch(storage.join(self.root, QUARANTINE))
            self._writer = pq.ParquetWriter(self._temporary, QUARANTINE_ROW, compression="zstd")
        self._writer.write_table(table.sort_by([(name, "ascending") for name in columns]))
        self.counts.update(f"{e['table']}/{e['reason']}" for e in entries)

    def close(self) -> list[str]:
        """Finish the file; returns its path below the root, if there is one."""
        if self._writer is None or self._temporary is None:
            return []
        self._writer.close()
        name = f"{QUARANTINE}/part-{storage.sha256(self._temporary)[:16]}.parquet"
        storage.publish(self._temporary, storage.join(self.root, name))
        return [name]

    def abandon(self) -> None:
        """Remove what was written so far."""
        if self._temporary is not None:
            with suppress(OSError):  # a full disk has been told already
                if self._writer is not None:
                    self._writer.close()
            self._temporary.unlink(missing_ok=True)
