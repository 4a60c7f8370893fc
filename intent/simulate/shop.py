"""The simulated shop: writes a folder of raw logs in which the hidden intent is known to us alone.

Users are simulated in cells of `CELL` users, a day after the other. Every draw comes from a
counter-based generator keyed by (seed, stream, cell, day), so a day does not depend on how many
days follow, nor a cell on how many users follow in other cells, and memory holds one cell's day.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from intent.errors import UsageError
from intent.simulate.catalogue import Catalogue, catalogue
from intent.simulate.dirt import Dirty
from intent.simulate.emission import emit
from intent.simulate.parameters import SHOP, Parameters
from intent.simulate.people import draw_history, draw_people, draw_profile
from intent.simulate.process import new_minds, simulate_day
from intent.simulate.tables import (
    SCHEMAS,
    TABLES,
    VIEWS,
    browse_table,
    history_table,
    profile_table,
    tap_table,
    touch_table,
)  # fmt: skip

CELL = 64  # users simulated together; part of what the random numbers are keyed by
LEAST_RATE = 0.05
_STREAMS = ("people", "profile", "history", "process", "emission", "dirt")


def generator(seed: int, stream: str, cell: int, day: int = 0) -> np.random.Generator:
    """The random numbers of one stream of one cell's day."""
    key = np.random.SeedSequence([seed, _STREAMS.index(stream), cell, day])
    return np.random.Generator(np.random.Philox(key))


def _epoch_ms(day: str) -> int:
    """Midnight UTC of `day` (YYYY-MM-DD) in epoch milliseconds."""
    return int(np.datetime64(day, "D").astype("datetime64[ms]").astype(np.int64))


def cell_tables(
    index: np.ndarray, cell: int, days: int, seed: int, rate: float, start: str, p: Parameters
) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """Yields (-1, profile and history) and then (day, touch, tap and browse) for users `index`."""
    shop: Catalogue = catalogue(p)
    first = np.datetime64(start, "D")
    epoch_ms = _epoch_ms(start)
    rng = generator(seed, "people", cell)
    people = draw_people(index, p, shop, rng)
    minds = new_minds(people, p, shop, rng)
    levels = draw_profile(people, p, generator(seed, "profile", cell))
    counts = draw_history(people, p, generator(seed, "history", cell))
    yield (
        -1,
        {"profile": profile_table(levels, people), "history": history_table(counts, people, first)},
    )
    for day in range(days):
        visits = simulate_day(people, minds, day, p, shop, generator(seed, "process", cell, day))
        rows = emit(visits, people, rate, p, shop, generator(seed, "emission", cell, day))
        makers = (touch_table, tap_table, browse_table)
        yield (
            day,
            {
                name: make(table, people, shop, epoch_ms)
                for name, make, table in zip(VIEWS, makers, rows, strict=True)
            },
        )


def simulate(
    out: str | Path,
    users: int,
    days: int,
    seed: int,
    *,
    rate: float = 1.0,
    dirt: bool = False,
    start: str = "2026-01-05",
    overwrite: bool = False,
    parameters: Parameters = SHOP,
    advance: Callable[[int], None] | None = None,
) -> dict:
    """Writes the logs of a simulated shop to the folder `out` and says what is in it.

    Args:
        out: folder to write: one subfolder per table with Parquet files, and shop.json.
        users, days, seed: the size of the shop and its random numbers. The same three give the
            same logs, and fewer days give exactly the beginning of the logs of more days.
        rate: scales taps and swipes (studies by its root; not pages or browse rows).
        dirt: add duplicates, bots, broken rows, clock skew and missing views, about 2 % of rows.
        start: first day of the logs, UTC.
        overwrite: replace `out` if it is the folder of a simulated shop.
        parameters: the shop itself.
        advance: called with the number of users that have been finished.

    Returns:
        What shop.json holds: settings, the parameter hash, rows per table, counts of dirt.

    Raises:
        UsageError: for impossible sizes, or if `out` is there and may not be replaced.
    """
    out = Path(out)
    _check(out, users, days, seed, rate, start, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = out.parent / f".{out.name}.{os.getpid()}.partial"
    shutil.rmtree(work, ignore_errors=True)
    try:
        rows = dict.fromkeys(TABLES, 0)
        dirty = Dirty(users, _epoch_ms(start), parameters) if dirt else None
        for table in TABLES:
            (work / table).mkdir(parents=True)
        for cell, low in enumerate(range(0, users, CELL)):
            index = np.arange(low, min(low + CELL, users))
            with ExitStack() as stack:
                writers: dict[str, pq.ParquetWriter] = {}
                for day, tables in cell_tables(index, cell, days, seed, rate, start, parameters):
                    noise = generator(seed, "dirt", cell, day + 1)
                    if dirty and day < 0:
                        dirty.enter(index, noise)
                    elif dirty:
                        tables = dirty.soil(tables, cell, day, rate, noise)
                    for name, table in tables.items():
                        if name not in writers:
                            path = work / name / f"part-{cell:05d}.parquet"
                            writers[name] = stack.enter_context(
                                pq.ParquetWriter(path, SCHEMAS[name], compression="zstd")
                            )
                        writers[name].write_table(table)
                        rows[name] += len(table)
            if advance:
                advance(len(index))
        summary = {
            "simulated": True,
            "parameters_hash": parameters.hash(),
            "seed": seed,
            "users": users,
            "days": days,
            "start": start,
            "rate": rate,
            "events": sum(rows[name] for name in VIEWS),
            "rows": rows,
            "dirt": dirty.counts if dirty else None,
        }
        text = json.dumps(summary | {"parameters": asdict(parameters)}, indent=1)
        (work / "shop.json").write_text(text + "\n")
        _put(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {"out": str(out), **summary}


def _check(
    out: Path, users: int, days: int, seed: int, rate: float, start: str, overwrite: bool
) -> None:
    """Refuses what cannot be simulated or written, before anything is."""
    for name, value in (("users", users), ("days", days)):
        if value < 1:
            raise UsageError(f"--{name} is {value}; give a whole number of at least 1")
    if seed < 0:
        raise UsageError(f"--seed is {seed}; give a whole number of at least 0")
    if not LEAST_RATE <= rate <= 4:
        raise UsageError(
            f"--rate is {rate}; give a number from {LEAST_RATE} to 4 (1 is the paper's)"
        )
    try:
        np.datetime64(start, "D")
    except ValueError:
        raise UsageError(f"the first day is {start!r}; give it as YYYY-MM-DD") from None
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise UsageError(
                f"{out} is not empty; name another folder, or give --overwrite to replace it"
            )
        if not (out / "shop.json").is_file():
            raise UsageError(
                f"{out} has no shop.json, so it is not a simulated shop; it is left alone"
            )
    elif out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder to write the logs to")


def _put(work: Path, out: Path) -> None:
    """Moves the finished folder into place; a crash leaves the old one or the new one."""
    old = out.parent / f".{out.name}.{os.getpid()}.old"
    if out.is_dir():
        os.replace(out, old)
    os.replace(work, out)
    shutil.rmtree(old, ignore_errors=True)
