"""Unit costs to a whole data set on a whole cluster: the arithmetic of docs/scale.md.

    python benchmarks/samples/scale.py [--users N] [--machines N] [--cpu-per-million S] ...

prints the page's table for your own numbers.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Scale:
    """The paper's data set, a cluster, and the measured unit costs; every field is an option."""

    users: float = 800_000
    days: float = 14
    actions: float = 42 + 391 + 1583  # a user and day, Table 1
    groups: float = 300e6
    machines: float = 20
    cores: float = 16  # of a machine
    network_gbit: float = 25  # of a machine, per second
    disk_mb: float = 500  # of a machine, per second
    busy: float = 0.7  # share of the core time that is used: the ends of stages leave cores idle
    cpu_per_million: float = 1.8  # CPU seconds a million events, all processes
    raw_bytes: float = 19.6  # of an event in the logs
    reads: float = 2  # times that the logs are read
    shuffle_bytes: float = 14.2  # of an event
    group_bytes: float = 281.0
    dense_bytes: float = 1859.0  # of a padded group
    events_per_task: float = 17.6e6
    worker_mib: float = 400.0  # peak of a Python worker


def rows(s: Scale) -> list[tuple[str, str, str]]:
    """What, arithmetic with the numbers in it, result; see docs/scale.md."""
    events = s.users * s.days * s.actions
    core_s = events / 1e6 * s.cpu_per_million
    all_cores = s.machines * s.cores
    network, disk = s.machines * s.network_gbit * 1e9 / 8, s.machines * s.disk_mb * 1e6
    raw, shuffle = events * s.raw_bytes, events * s.shuffle_bytes
    crossing = 1 - 1 / s.machines
    tasks = events / s.events_per_task
    billion = f"{events / 1e9:.1f} billion"
    link, drives = f"{_bytes(network)}/s", f"{_bytes(disk)}/s"
    found = [
        ("events", f"{s.users:,.0f} x {s.days:g} x {s.actions:,.0f}", billion),
        (
            "core time", f"{events / 1e6:,.0f} million x {s.cpu_per_million:g} s",
            f"{core_s / 3600:,.1f} core hours",
        ),
        (
            "time for the cores", f"{core_s / 3600:,.1f} h / ({all_cores:g} x {s.busy:g})",
            _time(core_s / all_cores / s.busy),
        ),
        ("logs", f"{billion} x {s.raw_bytes:g} B", _bytes(raw)),
        (
            "time for the logs on the network", f"{_bytes(raw)} x {s.reads:g} / {link}",
            _time(raw * s.reads / network),
        ),
        ("shuffle", f"{billion} x {s.shuffle_bytes:g} B", _bytes(shuffle)),
        (
            "shuffle on each machine's disk", f"{_bytes(shuffle)} / {s.machines:g}",
            _bytes(shuffle / s.machines),
        ),
        (
            "time for it on the network", f"{_bytes(shuffle)} x {crossing:g} / {link}",
            _time(shuffle * crossing / network),
        ),
        (
            "time for it on the disks, written and read", f"2 x {_bytes(shuffle)} / {drives}",
            _time(2 * shuffle / disk),
        ),
        (
            "data set", f"{s.groups / 1e6:,.0f} million x {s.group_bytes:g} B",
            _bytes(s.groups * s.group_bytes),
        ),
        (
            "the same padded and shuffled", f"{s.groups / 1e6:,.0f} million x {s.dense_bytes:g} B",
            _bytes(s.groups * s.dense_bytes),
        ),
        (
            "reducing tasks", f"{billion} / {s.events_per_task / 1e6:g} million",
            f"{tasks:,.0f}, {tasks / all_cores:.1f} for each core",
        ),
        (
            "shards, one a task and day", f"{tasks:,.0f} x {s.days:g}",
            f"{tasks * s.days:,.0f} of {_bytes(s.groups * s.group_bytes / tasks / s.days)}",
        ),
        (
            "Python workers' memory on a machine", f"{s.cores:g} x {s.worker_mib:g} MiB",
            f"{s.cores * s.worker_mib / 1024:.1f} GiB",
        ),
    ]  # fmt: skip
    return found


def table(s: Scale) -> str:
    """The rows as markdown."""
    lines = [("", "arithmetic", "result"), ("---",) * 3, *rows(s)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bytes(n: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f} B"


def _time(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for field in fields(Scale):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=float, default=field.default, help=f"{field.default:g}")
    print(table(Scale(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
