"""The feed's benchmark as a page of markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.feed.copying import KINDS
from benchmarks.feed.race import per_cpu_second, rate
from benchmarks.samples.profiles import OTHERS
from benchmarks.samples.report import table

TOP = 20  # functions shown
NAMES = {
    "ours": "ours",
    "ours_tensors": "ours, each array made a TensorFlow tensor as well",
    "tfrecord": "tf.data, Example records",
    "example_records": "tf.data, an Example with a feature for each array",
    "petastorm_rows": "Petastorm make_reader",
}


def markdown(result: dict, found: dict) -> str:
    """The whole page."""
    size = found["size"]
    quick = " --quick" if result["quick"] else f" --users {size['users']}"
    parts = [
        f"# The feed against Petastorm's rows and tf.data, {datetime.now(UTC).date()}\n",
        "Everything here is simulated data.\n\n"
        f"    python benchmarks/reader.py{quick}\n\n"
        f"Commit {result['commit']}; {result['machine']}, last-level cache {_cache()}.\n"
        f"Simulated shop of rate 1, {size['users']} users, {size['days']} days, windows of 256: "
        f"{found['groups']:,} groups in {found['row_groups']} row groups. Batches of 256. Every "
        "run is a fresh process bound to its cores; all files are in the page cache; imports do "
        f"not count. A run of ours or of tf.data has {size['epochs']} epoch(s), from the first "
        "`next` to the end, and the last one counts.\n",
        "## Figures\n",
        table(
            ["figure", "value", "unit", "goal", "met"],
            [[f[k] for k in ("name", "value", "unit", "goal", "met")] for f in result["figures"]],
        ),
        "## Bytes a group on disk\n",
        "Record files are not compressed, which is fastest from the page cache. The padded layout "
        "here has a user's groups side by side.\n",
        table(["form", "bytes"], [[k, v] for k, v in found["bytes_per_group"].items()]),
        "## The same groups\n",
        "Checksums of every group's arrays, compared without regard to order; of Petastorm's rows, "
        "each of so many is one of ours:\n",
        table(["reader", "groups"], [[k, v] for k, v in found["same"].items()]),
    ]
    for cores, contest in found["cores"].items():
        parts += _contest(cores, contest)
    return "\n".join(parts + _costs(found) + _profile(found))


def _contest(cores: int, contest: dict) -> list[str]:
    runs = [
        (f"{NAMES[n]} {i}", r) for n in NAMES for i, r in enumerate(contest["runs"].get(n, []), 1)
    ]
    middle = [
        [NAMES[n], median(map(rate, r)), median(map(per_cpu_second, r))]
        for n, r in contest["runs"].items()
    ]
    parts = [
        f"## {cores} core(s), in turns\n",
        "The rivals as they run here:\n",
        table(["", "variant"], [[NAMES[n], how] for n, how in contest["chosen"].items()]),
        "Petastorm reads only the columns that ours delivers, its clock runs from its first row "
        "on, and\nnobody puts its rows together to batches.\n",
        _runs(runs),
        "Medians:\n",
        table(["reader", "groups/s", "groups per CPU second"], middle),
    ]
    if contest["pipelines"]:
        parts += [
            "All variants of the rivals, one run each; the fastest of each kind runs above. A "
            "pipeline's\nbuffer is its shuffle buffer, in records; ours draws among 65,536:\n",
            _runs(list(contest["pipelines"].items())),
            "Petastorm's pools (CPU seconds of a process pool's workers are not seen here):\n",
            _runs(list(contest["pools"].items())),
            f"Petastorm's make_batch_reader, {cores} worker(s), whose arrays stay undecoded "
            f".npy cells: {rate(contest['batches']):,.0f} groups/s.\n",
        ]
    return parts


def _runs(runs: list[tuple[str, dict]]) -> str:
    rows = [
        [name, r["epochs"][0]["rate"], rate(r), r["epochs"][0]["first_s"],
         r["epochs"][-1]["first_s"], per_cpu_second(r), r["peak_mib"]]
        for name, r in runs
    ]  # fmt: skip
    head = ["run", "groups/s, first epoch", "last epoch", "s to the first batch, first epoch",
            "last epoch", "groups per CPU second", "peak MiB"]  # fmt: skip
    return table(head, rows)


def _costs(found: dict) -> list[str]:
    copy, bytes_ = found["copy"], found["delivered"]
    memory, epochs = found["memory"], len(found["memory"][1]["rss_mib"])
    return [
        "## The limit of copying, one core\n",
        f"A group is {bytes_:,.0f} bytes in a batch. Copies of a batch, and what ours reaches:\n",
        table(
            ["copy", "GB/s", "groups/s"],
            [[f"{k}: {KINDS[k]}", v / 1e9, v / bytes_] for k, v in copy.items()],
        ),
        f"The share is of the first of these.\n\n## Memory over {epochs} epochs\n",
        "MiB resident after each epoch, nothing collected by hand. The growth is the median of the "
        "last five over that of the second to the sixth, the spread the highest over the lowest "
        "of all but the first; the C library does not keep as much free memory in each:\n",
        *(
            f"{cores} core(s): " + ", ".join(f"{mib:.0f}" for mib in of["rss_mib"])
            + f"; peak {of['peak_mib']:.0f}.\n"
            for cores, of in memory.items()
        ),
        "## To the first batch, one core\n",
        "Shards are copies of one shard. Seconds, medians; open is `open_samples`, with checksums "
        "of all files or without:\n",
        table(
            ["shards", "checksums", "Python and imports", "open", "first batch",
             "without imports", "all"],
            [list(row.values()) for row in found["starts"]],
        ),
        "## Shuffle\n",
        "Shares of what a perfect shuffle of the same groups has, 1 is perfect: different users "
        "and users' days in a batch, entropy of the distance on disk between neighbours (the order "
        "within a batch drawn by lot first). By the pool's groups; none is the order on disk:\n",
        table(
            ["pool", "users", "users' days", "distances"],
            [[pool, *q.values()] for pool, q in found["shuffle"].items()],
        ),
    ]  # fmt: skip


def _profile(found: dict) -> list[str]:
    functions, threads = found["profile"]["functions"], found["profile"]["threads"]
    total, modules = sum(functions.values()), {}
    for function, seconds in functions.items():
        module = _known(function).split(" ")[0] if function != OTHERS else _known(function)
        modules[module] = modules.get(module, 0.0) + seconds

    def top(parts: dict[str, float]) -> list[list]:
        ordered = sorted(parts.items(), key=lambda item: -item[1])[:TOP]
        return [[_known(name), seconds, f"{seconds / total:.1%}"] for name, seconds in ordered]

    return [
        "## Where the CPU seconds go, one core\n",
        "One epoch by thread, to 10 ms (Thread: Petastorm's workers; others: Arrow's and such):\n",
        table(["thread", "CPU s"], [[k, v] for k, v in threads.items()]),
        "One epoch under the profiler, all threads of Python, which is slower; what a library does "
        "counts\nfor who called it:\n",
        table(["file", "CPU s", "share"], top(modules)),
        table(["function", "CPU s", "share"], top(functions)),
    ]


def _known(function: str) -> str:
    return "(libraries that nobody of ours called)" if function == OTHERS else function


def _cache() -> str:
    path = Path("/sys/devices/system/cpu/cpu0/cache")
    sizes = sorted(path.glob("index*/size"))
    return sizes[-1].read_text().strip() if sizes else "unknown"
