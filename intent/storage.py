"""Files in a place that is a local path or a URL: s3://bucket/folder, or whatever fsspec knows.

A job on a cluster writes where every executor can write and every reader can read, which is often
an object store. What the two kinds of place have in common is little, and is all that a dataset
needs: a file is there whole or not at all, it can be listed, read and removed.

Local files never pass through fsspec. On an object store one put is atomic, so nothing is renamed
there; a larger file is made locally and uploaded under its final name.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from intent.errors import IntentError, UsageError

CHUNK = 1 << 20  # bytes read at a time
SCRATCH = ".writing-"  # how the names of unfinished files begin


def local(place: str | Path) -> Path | None:
    """`place` as a path of this machine; None where it is a URL of somewhere else."""
    text = str(place)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    if re.match(r"[a-z][a-z0-9+]+:/(?!/)", text):
        raise ValueError(f"{text} was a URL and went through a Path: keep places as strings")
    return None if "://" in text else Path(text)


def absolute(place: str | Path) -> str:
    """The same place, as another process with another working directory may name it."""
    path = local(place)
    return str(place).rstrip("/") if path is None else str(path.absolute())


def join(place: str | Path, *names: str) -> str:
    """A place below another."""
    return "/".join([str(place).rstrip("/") or "/", *names])


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it; nothing in it is remembered.

    Raises IntentError where its package is missing.
    """
    import fsspec

    with explained(url):
        return fsspec.core.url_to_fs(str(url), use_listings_cache=False)


def exists(place: str | Path) -> bool:
    """Whether there is a file (or local folder) of this name."""
    path = local(place)
    if path is not None:
        return path.exists()
    fs, name = filesystem(place)
    with explained(place):
        return fs.isfile(name)


def read_bytes(place: str | Path) -> bytes:
    """A whole file; FileNotFoundError where there is none."""
    path = local(place)
    if path is not None:
        return path.read_bytes()
    fs, name = filesystem(place)
    with explained(place):
        return fs.cat_file(name)


def read_text(place: str | Path) -> str:
    """A whole file, UTF-8; FileNotFoundError where there is none."""
    return read_bytes(place).decode()


def files(root: str | Path) -> dict[str, int]:
    """Every file below `root`: its name from there, and its bytes. Empty where nothing is."""
    path = local(root)
    if path is not None:
        found = (Path(folder) / n for folder, _, names in os.walk(path) for n in names)
        return {f.relative_to(path).as_posix(): f.lstat().st_size for f in found}
    fs, base = filesystem(root)
    base = base.rstrip("/") + "/"
    with explained(root):
        try:
            found = fs.find(base, detail=True)
        except FileNotFoundError:
            return {}
        return {n.removeprefix(base): info["size"] or 0 for n, info in found.items()}


def remove(root: str | Path, names: list[str]) -> None:
    """Remove files below `root`."""
    path = local(root)
    if path is not None:
        for name in names:
            (path / name).unlink(missing_ok=True)
    elif names:
        fs, base = filesystem(root)
        with explained(root):
            fs.rm([join(base, name) for name in names])


def move(root: str | Path, name: str, to: str) -> None:
    """Give a file below `root` another name below it; at any moment it is there under one."""
    path = local(root)
    if path is not None:
        (path / to).parent.mkdir(parents=True, exist_ok=True)
        os.replace(path / name, path / to)
        return
    fs, base = filesystem(root)
    with explained(root):
        fs.cp_file(join(base, name), join(base, to))
        fs.rm_file(join(base, name))


def write_atomically(place: str | Path, data: str | bytes) -> None:
    """Write a file so that at any moment the old one or the new one is there, whole."""
    data = data.encode() if isinstance(data, str) else data
    path = local(place)
    if path is None:
        fs, name = filesystem(place)
        with explained(place):
            fs.pipe_file(name, data)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def create(url: str, data: str) -> bool:
    """Write an object that must not be there yet; False where it is.

    Of several who try at once one succeeds, on a store that knows conditional puts (S3 does).
    """
    fs, name = filesystem(url)
    with explained(url):
        try:
            fs.pipe_file(name, data.encode(), mode="create")
        except FileExistsError:
            return False
    return True


def modified(url: str) -> datetime:
    """When an object was written last, by the store's clock."""
    fs, name = filesystem(url)
    with explained(url):
        return fs.modified(name)


def scratch(folder: str | Path) -> Path:
    """The name of a new local file, to be filled and then published in `folder`.

    For a local folder it is in there, so that publishing it is a rename; else in $TMPDIR.
    """
    path = local(folder)
    if path is None:
        path = Path(tempfile.gettempdir())
    path.mkdir(parents=True, exist_ok=True)
    return path / f"{SCRATCH}{os.getpid()}-{os.urandom(6).hex()}"


def publish(temporary: Path, place: str) -> None:
    """Let a finished file from `scratch` appear under its final name, whole, and nowhere else.

    The name must say the content: where the same bytes are there already, they stay untouched,
    since somebody may be reading them.
    """
    path = local(place)
    if path is None:
        fs, name = filesystem(place)
        with explained(place):
            fs.put_file(str(temporary), name)
        temporary.unlink()
    elif path.exists() and sha256(path) == sha256(temporary):
        temporary.unlink()
    else:
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)


def copy(source: str | Path, target: str | Path) -> None:
    """Copy a small file from any place to any other."""
    path = local(target)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, read_bytes(source))


def sha256(place: str | Path) -> str:
    """Checksum of a file, hex."""
    path = local(place)
    if path is not None:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    fs, name = filesystem(place)
    digest = hashlib.sha256()
    with explained(place), fs.open(name, "rb", block_size=8 * CHUNK) as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def explained(url: str | Path) -> Iterator[None]:
    """Turn what a store's client throws into one line; FileNotFoundError and ours pass."""
    try:
        yield
    except (IntentError, FileExistsError):
        raise
    except FileNotFoundError as error:
        if "bucket" in str(error).lower():
            raise IntentError(f"{url}: no such bucket; make it, or mend the URL") from error
        raise
    except ImportError as error:
        raise IntentError(f"{url} cannot be opened: {_line(error)}") from error
    except ValueError as error:
        if "protocol not known" in str(error).lower():
            raise UsageError(f"{url}: fsspec knows no such kind of place; s3:// is one") from error
        raise
    except Exception as error:
        name = type(error).__name__
        if "Credentials" in name:
            advice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        elif isinstance(error, PermissionError):
            advice = "the credentials in use may not do this there"
        elif "Endpoint" in name or "Connect" in name or isinstance(error, TimeoutError):
            advice = "is the store reachable from here? AWS_ENDPOINT_URL names another than AWS"
        else:
            advice = name
        raise IntentError(f"{url}: {_line(error)} ({advice})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _sync_folder(folder: Path) -> None:
    """Have a rename in `folder` outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
