"""Lets Petastorm 0.12.1 run with today's pyarrow (16 and later) and NumPy 2.

Petastorm 0.12.1 was written for old Arrow and NumPy: it imports `pyarrow.filesystem` and
`pyarrow.hdfs`, reads data sets through the legacy `ParquetDataset` with its `pieces` and
`partitions`, and names `np.unicode_` and `np.string_`. All of that is gone. Its successor 0.13.1
needs none of it, but loses rows (a race at the end of its thread pool), so it is refused here.

`install()` puts an import hook in front of the modules of Petastorm, and of nothing else: inside
them `import pyarrow` and `import numpy` give a shadow, which answers with the missing names from
this file and with the real module for everything else. Nobody else sees any difference;
`pyarrow.parquet.ParquetDataset` stays what it is.

    from intent.samples.petastorm_compat import install; install()
    from petastorm import make_reader

- Process pools: Petastorm's fresh interpreters are started on this file, which installs first.
- Spark: what `materialize_dataset` itself sends to executors works as it is. Wrap a function of
  yours that mentions Petastorm: `rdd.map(with_petastorm(lambda row: dict_to_spark_row(S, row)))`.
- HDFS: pass `filesystem=fsspec.filesystem("hdfs", host=...)` to the reader.
- Not covered: `petastorm.etl.rowgroup_indexing` on Spark.

This file and `legacy_parquet` can be deleted on the day that a sound Petastorm release runs on
current Arrow.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from intent.errors import IntentError
from intent.samples.legacy_parquet import ParquetDataset, ParquetDatasetPiece

VERSION = "0.12.1"
_SHADOWED = ("pyarrow", "numpy")


def install() -> None:
    """Makes `import petastorm` work from here on; calling it again does nothing.

    Raises:
        IntentError: Petastorm is missing, is another version, or was imported before.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    try:
        found = importlib.metadata.version("petastorm")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != VERSION:
        raise IntentError(
            f"petastorm {VERSION} is needed, found {found}"
            + (" (0.13.1 loses rows in silence)" if found.startswith("0.13") else "")
            + f": pip install petastorm=={VERSION}"
        )
    if "petastorm" in sys.modules:
        raise IntentError("petastorm was imported before install(): call install() first")
    for name in [n for n in sys.modules if n.startswith("petastorm.")]:
        del sys.modules[name]  # what an import that failed without us left behind
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of Petastorm where they are, and loads them with `_Loader`."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] != "petastorm":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a module with an `import` of its own, which no other module shares."""

    def exec_module(self, module: Any) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)
        if module.__name__ == "petastorm.workers_pool.exec_in_new_process":
            module.exec_in_new_process = _exec_in_new_process


def _import(
    name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
) -> Any:
    """What `import` means in a module of Petastorm."""
    root = name.partition(".")[0]
    if level == 0 and root in _SHADOWED:
        return _shadow(name if fromlist else root)
    return builtins.__import__(name, globals, locals, fromlist or (), level)


class _Shadow:
    """A module as Petastorm knew it: our names first, then those of the real one."""

    def __init__(self, name: str) -> None:
        self.__dict__ = {"__name__": name, **_names(name)}

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value

    def __reduce__(self) -> tuple:  # by name, also in what is pickled for executors
        return _shadow, (self.__name__,)


@functools.cache
def _shadow(name: str) -> _Shadow:
    return _Shadow(name)


def _names(module: str) -> dict[str, Any]:
    """The names that Petastorm expects of `module` and that today's release lacks."""
    if module == "pyarrow":
        children = {name: _shadow(f"pyarrow.{name}") for name in ("parquet", "hdfs")}
        return {"localfs": LocalFileSystem(), "LocalFileSystem": LocalFileSystem, **children}
    if module == "numpy":
        import numpy as np

        aliases = {"unicode_": np.str_, "string_": np.bytes_, "float": float}
        return {**aliases, "in1d": lambda a, b: np.isin(np.ravel(a), b)}
    return {
        "pyarrow.parquet": {
            "ParquetDataset": ParquetDataset,
            "ParquetDatasetPiece": ParquetDatasetPiece,
        },
        "pyarrow.filesystem": {"LocalFileSystem": LocalFileSystem},
        "pyarrow.hdfs": {"HadoopFileSystem": object, "connect": _no_hdfs},
        "pyarrow.lib": {"ArrowIOError": OSError},
    }.get(module, {})


def _no_hdfs(host: str = "default", *args: Any, **kwargs: Any) -> None:
    raise IntentError(
        f"Petastorm cannot connect to the name node {host!r} by itself with this pyarrow: "
        f"pass filesystem=fsspec.filesystem('hdfs', host={host!r}) to the reader"
    )


class with_petastorm:  # noqa: N801 - reads as the function that it is
    """Wraps `function` so that a Spark executor installs this module before it unpickles it."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __reduce__(self) -> tuple:
        from pyspark import cloudpickle

        return _load, (cloudpickle.dumps(self.function),)


def _load(pickled: bytes) -> with_petastorm:
    import pickle

    install()
    return with_petastorm(pickle.loads(pickled))


def _exec_in_new_process(func: Any, *args: Any, **kwargs: Any) -> subprocess.Popen:
    """Petastorm's own function, but the new interpreter starts on this module."""
    import dill

    handle, path = tempfile.mkstemp(suffix="runnable")
    with os.fdopen(handle, "wb") as file:
        dill.dump((func, args, kwargs), file)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    return subprocess.Popen([sys.executable, "-m", __name__, path], env=environment)


if __name__ == "__main__":  # a worker of a process pool
    import runpy

    from intent.samples import petastorm_compat

    petastorm_compat.install()
    runpy.run_module("petastorm.workers_pool.exec_in_new_process_entrypoint", run_name="__main__")
