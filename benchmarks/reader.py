"""How fast is the feed, against Petastorm's rows and tf.data over the same groups?

One core, and two; each run a fresh process bound to its cores, ours and the rivals in turns. All
readers' groups are compared first. Everything is about simulated data.

    python benchmarks/reader.py [--quick] [--users N] [--out FILE] [--report FILE.md]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.feed import child, data, race, report  # noqa: E402
from benchmarks.feed.race import Track, per_cpu_second, rate, speedup  # noqa: E402
from benchmarks.outcome import outcome, tell  # noqa: E402


@dataclass(frozen=True)
class Size:
    """How much is measured; users are a multiple of a cell of the simulated shop (64)."""

    users: int
    days: int
    repeats: int
    epochs: int  # of a run in the race; the last one counts
    memory_epochs: int
    shards: tuple[int, ...]
    pools: tuple[int, ...]  # of the shuffle's quality
    seconds: float  # of Petastorm's rows
    least: int  # rows of it
    compared: int  # rows of it that are compared with our groups
    copy_s: float
    trials: bool  # whether all variants of the rivals run, or only one that is good


FULL = Size(1024, 5, 5, 2, 20, (1, 10, 100), (4096, 16_384, 65_536), 6.0, 3000, 10_000, 0.5, True)
QUICK = Size(64, 3, 1, 2, 4, (1, 10), (1024, 65_536), 1.0, 1000, 500, 0.1, False)
BEGUN = time.monotonic()
FILES = 8  # of records


def say(text: str) -> None:
    """Progress with the seconds since the start, on stderr."""
    print(f"{time.monotonic() - BEGUN:5.0f} s  {text}", file=sys.stderr, flush=True)


def measure(size: Size, folder: Path) -> dict:
    """All measurements as plain numbers."""
    say("the data in every form")
    forms = data.make(folder, size.users, size.days, FILES)
    tracks, manifest = str(forms.tracks), forms.manifest
    found: dict = {"size": asdict(size), "groups": manifest.groups, "rows": manifest.rows}
    found |= {"row_groups": sum(len(s.row_groups) for s in manifest.shards)}
    found["bytes_per_group"] = forms.bytes_per_group()
    say("are the groups the same?")
    found["same"] = child.run(
        "same.check", 2, tracks=tracks, dense=forms.dense, written=forms.records,
        rows=min(size.compared, manifest.groups),
    )  # fmt: skip
    track = Track(forms, size.epochs, size.seconds, size.least)
    found["cores"] = {cores: contest(track, cores, size) for cores in (1, 2)}
    say("the limit of copying, memory, starts, shuffle, profile")
    found["delivered"] = child.run("habits.delivered", 1, root=tracks)["bytes"]
    batch = int(found["delivered"] * 256)
    whole = int(found["delivered"] * manifest.groups)
    found["copy"] = child.run(
        "copying.rates", 1, batch_bytes=batch, source_bytes=whole, seconds=size.copy_s
    )
    found["memory"] = {
        cores: child.run("habits.memory", cores, root=tracks, epochs=size.memory_epochs)
        for cores in (1, 2)
    }
    found["starts"] = starts(forms.tracks, folder, size.shards, size.repeats)
    found["shuffle"] = child.run("habits.shuffle", 2, root=tracks, pools=size.pools)
    found["profile"] = child.run("habits.profile", 1, root=tracks)
    return found


def contest(track: Track, cores: int, size: Size) -> dict:
    """The variants of the rivals on so many cores, and the race against the best of them."""
    tried, rows, batches = {}, {}, None
    chosen = {"tfrecord": race.PIPELINES[0], "petastorm_rows": ("dummy", 1)}
    if size.trials:
        say(f"{cores} core(s): {len(race.PIPELINES)} pipelines, {len(race.POOLS)} pools")
        tried, rows = race.trials(track, cores)
        chosen = {
            "tfrecord": race.best(tried),  # of all forms, bare bytes too
            "example_records": race.best(tried, lambda how: how.form == "example"),
            "petastorm_rows": race.best(rows),
        }
        batches = track.petastorm_batches(cores)
    names = {name: race.name(how) for name, how in chosen.items()}
    say(f"{cores} core(s): {size.repeats} turns: {names}")
    runs = race.race(track, cores, chosen, size.repeats, tensors=size.trials)
    return {
        "pipelines": {race.name(how): run for how, run in tried.items()},
        "pools": {race.name(how): run for how, run in rows.items()},
        "batches": batches, "chosen": names, "runs": runs,
    }  # fmt: skip


def starts(tracks: Path, folder: Path, shards: tuple[int, ...], repeats: int) -> list[dict]:
    """Seconds to the first batch by the number of shards, with and without checksums."""
    rows = []
    for n in shards:
        root = folder / f"shards{n}"
        data.with_shards(tracks, root, n)
        for content in (True, False):
            runs = [
                child.run("start.first_batch", 1, root=str(root), content=content)
                for _ in range(repeats)
            ]
            middle = {key: median(run[key] for run in runs) for key in runs[0]}
            rows.append({"shards": n, "checksums": content, **middle})
    return rows


def figures(found: dict, quick: bool) -> list[dict]:
    """The figures with their goals (issue: the feed); a quick run judges nothing."""
    out = []

    def note(name: str, value: float, unit: str, goal: str | None = None, met=None) -> None:
        met = None if met is None or quick else bool(met)
        out.append(
            {"name": name, "value": round(float(value), 4), "unit": unit, "goal": goal, "met": met}
        )

    goals = {"petastorm_rows": 20, "tfrecord": 2}
    for cores, suffix in ((1, "one_core"), (2, "two_cores")):
        runs = found["cores"][cores]["runs"]
        for rival in found["cores"][cores]["chosen"]:
            name = f"speedup_over_{rival}" + (f"_{suffix}" if cores > 1 else "")
            value, goal = speedup(runs["ours"], runs[rival]), goals.get(rival)
            note(name, value, "x", goal and f">= {goal}", goal and value >= goal)
        if "ours_tensors" in runs:
            value = speedup(runs["ours_tensors"], runs["tfrecord"])
            note(f"speedup_over_tfrecord_as_tensors_{suffix}", value, "x")
        for name, of_reader in runs.items():
            reader = "" if name == "ours" else f"_{name}"
            value = median(map(rate, of_reader))
            note(f"groups_per_second_{suffix}{reader}", value, "groups/s")
    one = found["cores"][1]["runs"]
    ours = median(map(rate, one["ours"]))
    limit = found["copy"]["memory"] / found["delivered"]
    per_cpu = {name: median(map(per_cpu_second, runs)) for name, runs in one.items()}
    note("speedup_over_tfrecord_by_cpu", per_cpu["ours"] / per_cpu["tfrecord"], "x")
    note("cpu_seconds_per_million_groups", 1e6 / per_cpu["ours"], "s")
    note("share_of_memcpy", ours / limit, "share", "aim 0.5", ours / limit >= 0.5)
    note("memcpy_limit", limit, "groups/s")
    note("bytes_delivered_per_group", found["delivered"], "bytes")
    for cores, suffix in ((1, ""), (2, "_two_cores")):
        after = found["memory"][cores]["rss_mib"]
        growth = median(after[-5:]) / median(after[1:6]) - 1  # the first epoch makes what all use
        note(f"memory_growth{suffix}", growth, "share", "<= 0.05", growth <= 0.05)
        note(f"memory_spread{suffix}", max(after[1:]) / min(after[1:]) - 1, "share")
        note(f"memory_peak{suffix}", found["memory"][cores]["peak_mib"], "MiB")
    for row in found["starts"]:
        if row["checksums"]:
            note(f"first_batch_{row['shards']}_shards", row["since_imports_s"], "s")
    for name, value in found["shuffle"][str(max(found["size"]["pools"]))].items():
        note(f"shuffle_{name}_to_perfect", value, "share")
    return out


def main() -> None:
    """Runs the benchmark and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="little data, one run each; ends within 60 s"
    )
    parser.add_argument("--users", type=int, help="users of the shop, a multiple of 64")
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    parser.add_argument("--report", type=Path, help="write everything as markdown to this file")
    a = parser.parse_args()
    size = QUICK if a.quick else FULL
    if a.users:
        size = replace(size, users=a.users)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(size, Path(folder))
    result = outcome("reader", a.quick, figures(found, a.quick))
    if a.report:
        a.report.write_text(report.markdown(result, found))
    tell(result, a.out)


if __name__ == "__main__":
    main()
