"""Opening one log file, local or on an object store, and saying plainly what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pyarrow as pa

from intent import storage
from intent.errors import IntentError

REMOTE_BLOCK = 8 << 20  # bytes asked of an object store at a time, when a file is read in order
KINDS = {"parquet": "Parquet", "json": "JSON Lines", "csv": "CSV"}


@contextmanager
def opened(path: str, kind: str, size: int | None = None) -> Iterator[pa.NativeFile]:
    """The bytes of a log file, unpacked if its name ends in .gz.

    What goes wrong while it is open is one IntentError that names the file and what to do.

    Args:
        path: a local path, or a URL of any scheme that fsspec knows.
        kind: "parquet", "json" or "csv".
        size: bytes that the file had when it was listed; another size is an error.
    """
    local = storage.local(path)
    with nullcontext() if local else storage.explained(path), _explained(path, kind):
        if local:
            file, found = pa.OSFile(str(local), "rb"), os.stat(local).st_size
        else:
            remote = _open_remote(path, kind)
            file, found = pa.PythonFile(remote, mode="r"), remote.size
        if size is not None and size != found:
            raise IntentError(
                f"{path} changed while it was being read ({size:,} bytes when it was listed, "
                f"{found:,} now); leave the logs alone until the job has ended, and start it again"
            )
        with file:
            yield pa.CompressedInputStream(file, "gzip") if is_packed(path) else file


def is_packed(path: str) -> bool:
    """Whether a file is gzip, by its name."""
    return path.lower().endswith(".gz")


def _open_remote(path: str, kind: str) -> Any:
    fs, name = storage.filesystem(path)
    if kind == "parquet":  # Arrow knows which ranges it wants, and asks for them in large pieces
        return fs.open(name, "rb", cache_type="none")
    return fs.open(name, "rb", cache_type="readahead", block_size=REMOTE_BLOCK)


@contextmanager
def _explained(path: str, kind: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise IntentError(
            f"{path} is gone; leave the logs alone until the job has ended, and start it again"
        ) from None
    except PermissionError:
        raise IntentError(f"{path} may not be read; give this user the right to read it") from None
    except (OSError, EOFError, pa.ArrowException) as error:
        if "://" in path and getattr(error, "errno", None) is not None:
            raise  # of the store, which is explained elsewhere
        line = " ".join(str(error).split())[:200]
        if is_packed(path) and isinstance(error, OSError):
            raise IntentError(
                f"{path} cannot be unpacked ({line}); it is cut short or no gzip file: write it "
                "again, or leave .gz off its name if it is not packed"
            ) from error
        raise IntentError(
            f"{path} cannot be read as {KINDS[kind]} ({line}); it is damaged or was cut short: "
            "write it again"
        ) from error
