"""`pyarrow.parquet.ParquetDataset` as it was up to pyarrow 14, as far as Petastorm 0.12.1 uses it.

Only `intent.samples.petastorm_compat` needs it: see there for why, and for when both can go.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

_SUFFIXES = (".parquet", ".parq", ".pq")


class ParquetDatasetPiece:
    """One Parquet file, or one row group of it, with its partition: [(column, index of value)]."""

    def __init__(
        self,
        path: str,
        open_file_func: Any = open,
        row_group: int | None = None,
        partition_keys: Any = (),
    ) -> None:
        self.path = path
        self.row_group = row_group
        self.partition_keys = list(partition_keys)
        self._open = open_file_func

    def get_metadata(self) -> pq.FileMetaData:
        """The footer."""
        with self._open(self.path, "rb") as file:
            return pq.read_metadata(file)

    def read(self, columns: Any = None, partitions: Partitions | None = None) -> pa.Table:
        """The rows as a table, the partition's columns after those of the file."""
        columns = None if columns is None else sorted(columns)
        with self._open(self.path, "rb") as file:
            reader = pq.ParquetFile(file)
            if self.row_group is None:
                table = reader.read(columns=columns)
            else:
                table = reader.read_row_group(self.row_group, columns=columns)
        for level, (name, index) in enumerate(self.partition_keys):
            value = partitions[level].dictionary[index]
            table = table.append_column(name, pa.repeat(value, table.num_rows))
        return table


class PartitionSet:
    """One partition column: its name and its values as they stand in the paths."""

    def __init__(self, name: str, keys: list[str]) -> None:
        self.name = name
        self.keys = keys

    @property
    def dictionary(self) -> pa.Array:
        """The values as an Arrow array: int64 where every one is a number, else strings."""
        try:
            return pa.array([int(key) for key in self.keys], pa.int64())
        except ValueError:
            return pa.array(self.keys, pa.string())


class Partitions(list):
    """The `PartitionSet`s of a data set, outermost first."""

    @property
    def partition_names(self) -> set[str]:
        """Names of the partition columns."""
        return {level.name for level in self}


class ParquetDataset:
    """The legacy data set: its files as pieces, its hive partitions, its summary files.

    Args:
        path_or_paths: a folder, a file or a list of files.
        filesystem: an fsspec file system; the local one by default.
        filters: refused. The original ignored those on other than partition columns in silence.
    """

    def __init__(
        self,
        path_or_paths: Any,
        filesystem: Any = None,
        validate_schema: bool = False,
        metadata_nthreads: int = 1,
        filters: Any = None,
    ) -> None:
        if filters:
            raise ValueError("filters= is not supported: use predicate= (it prunes partitions)")
        if isinstance(path_or_paths, list) and len(path_or_paths) == 1:
            path_or_paths = path_or_paths[0]
        self.fs = filesystem if filesystem is not None else LocalFileSystem()
        self.paths = path_or_paths
        self.partitions: Partitions | None = None
        self.metadata = self.common_metadata = self.metadata_path = None
        if isinstance(path_or_paths, str) and self.fs.isdir(path_or_paths):
            self.metadata_path = path_or_paths.rstrip("/") + "/_metadata"
            self.metadata = self._footer("_metadata")
            self.common_metadata = self._footer("_common_metadata")
            self._list(path_or_paths)
        else:
            paths = path_or_paths if isinstance(path_or_paths, list) else [path_or_paths]
            missing = [path for path in paths if not self.fs.isfile(path)]
            if missing:
                raise OSError(f"not a Parquet file, and not a folder: {missing[0]}")
            self.pieces = [ParquetDatasetPiece(path, self.fs.open) for path in paths]

    def _footer(self, name: str) -> pq.FileMetaData | None:
        path = f"{self.paths.rstrip('/')}/{name}"
        if not self.fs.exists(path):
            return None
        return ParquetDatasetPiece(path, self.fs.open).get_metadata()

    def _list(self, root: str) -> None:
        """Fills `pieces` and `partitions` from the paths below `root`, in their order."""
        base = self.fs._strip_protocol(root).strip("/")
        rows = []
        for path in sorted(self.fs.find(root)):
            *folders, name = path.strip("/")[len(base) :].strip("/").split("/")
            if any(part[:1] in ("_", ".") for part in (*folders, name)):
                continue
            if "." in name and not name.endswith(_SUFFIXES):
                continue  # such as a JSON file beside the partitions
            keys = [tuple(unquote(part).split("=", 1)) for part in folders if "=" in part]
            rows.append((path, keys))
        if not rows:
            raise OSError(f"no Parquet file below {root}")
        names = [name for name, _ in rows[0][1]]
        for path, keys in rows:
            if [name for name, _ in keys] != names:
                raise ValueError(f"{path} is not partitioned by {names} as the files before it are")
        values = [sorted({keys[i][1] for _, keys in rows}) for i in range(len(names))]
        self.partitions = Partitions(map(PartitionSet, names, values)) or None
        self.pieces = [
            ParquetDatasetPiece(
                path,
                self.fs.open,
                partition_keys=[(n, values[i].index(v)) for i, (n, v) in enumerate(keys)],
            )
            for path, keys in rows
        ]
