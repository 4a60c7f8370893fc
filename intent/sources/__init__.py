"""How a foreign clickstream maps onto our events.

Every source is a module with a function `convert(src, out, advance)`, named in `SOURCES`; to add
one, write its `rows` generator (see `taobao` for the short way) and put it there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from intent.errors import UsageError

SOURCES: dict[str, str] = {
    "taobao": "intent.sources.taobao:convert",
    "otto": "intent.sources.otto:convert",
}


def convert(
    name: str, src: Path, out: Path, advance: Callable[[int], object] = lambda rows: None
) -> dict:
    """Write the log `src` of source `name` as raw tables in folder `out`.

    Args:
        name: one of `SOURCES`.
        src: the file, or a folder with exactly one file of that kind.
        out: a new or empty folder, or one that an earlier import wrote.
        advance: called with the number of rows after every block, for a progress bar.

    Returns:
        What was read and written, see `intent.sources.browse_log.write`.
    """
    if name not in SOURCES:
        raise UsageError(f"no source {name!r}; there are: {', '.join(SOURCES)}")
    module, function = SOURCES[name].split(":")
    return getattr(importlib.import_module(module), function)(Path(src), Path(out), advance)
