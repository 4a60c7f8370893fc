"""Ours and the rivals in turns, each run a fresh process; first, which rival is the fastest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.feed import child
from benchmarks.feed.data import Forms
from benchmarks.feed.records import Pipeline

Run = dict  # of `meter`: {"epochs": [...], "rss_mib", "peak_mib"}

# Ours draws the order among 65,536 groups; a smaller buffer mixes less, and may be faster.
PIPELINES = tuple(
    Pipeline(form, parse, buffer, parallel)
    for form, parse, buffer, parallel in (
        ("example", "batch", 65_536, True),
        ("example", "batch", 65_536, False),
        ("example", "batch", 8_192, True),
        ("example", "batch", 8_192, False),
        ("example", "row", 65_536, True),
        ("packed", "batch", 65_536, True),
        ("packed", "batch", 65_536, False),
        ("packed", "batch", 8_192, True),
        ("packed", "batch", 8_192, False),
        ("raw", "batch", 65_536, True),
        ("raw", "batch", 65_536, False),
        ("raw", "batch", 8_192, True),
        ("raw", "batch", 8_192, False),
        ("raw", "row", 65_536, True),
    )
)
POOLS = (("thread", 1), ("thread", 2), ("thread", 4), ("thread", 10), ("dummy", 1),
         ("process", 1), ("process", 2))  # fmt: skip


@dataclass(frozen=True)
class Track:
    """Where and how long everything runs.

    Attributes:
        forms: the data.
        epochs: of ours and of tf.data in a process; the last one counts, the first has the start
            of everything in it.
        seconds, least: of Petastorm's rows, at least.
    """

    forms: Forms
    epochs: int = 2
    seconds: float = 6.0
    least: int = 3_000

    def ours(self, cores: int, tensors: bool = False) -> Run:
        """Our feed."""
        root = str(self.forms.tracks)
        return child.run("readers.ours", cores, root=root, epochs=self.epochs, tensors=tensors)

    def tfrecord(self, cores: int, how: Pipeline) -> Run:
        """tf.data over the records of `how`."""
        where = {"root": self.forms.records[how.form], "tracks": self.forms.tracks}
        how_ = asdict(how)
        return child.run("readers.tfrecord", cores, **where, how=how_, epochs=self.epochs)

    def petastorm(self, cores: int, pool: str, workers: int) -> Run:
        """Petastorm's rows."""
        time = {"seconds": self.seconds, "least": self.least}
        root = self.forms.dense
        return child.run("readers.petastorm", cores, root=root, pool=pool, workers=workers, **time)

    def petastorm_batches(self, cores: int) -> Run:
        """Petastorm's row groups, undecoded."""
        time = {"seconds": self.seconds, "least": self.least}
        root = self.forms.dense
        return child.run("readers.petastorm_batches", cores, root=root, workers=cores, **time)


def rate(run: Run) -> float:
    """Groups a second of a run's last epoch."""
    return run["epochs"][-1]["rate"]


def per_cpu_second(run: Run) -> float:
    """Groups per CPU second of a run's last epoch: does not depend on who else was at work."""
    return run["epochs"][-1]["groups"] / run["epochs"][-1]["cpu_s"]


def best(runs: dict, accept: Callable = lambda key: True):
    """The key of the fastest run, by its fastest epoch."""
    known = {key: max(e["rate"] for e in run["epochs"]) for key, run in runs.items() if accept(key)}
    return max(known, key=known.get)


def name(how: Pipeline | tuple[str, int]) -> str:
    """Of a variant, for tables."""
    return f"{how[0]} pool, {how[1]} worker(s)" if isinstance(how, tuple) else how.name


def trials(track: Track, cores: int) -> tuple[dict[Pipeline, Run], dict[tuple[str, int], Run]]:
    """One run of each variant of the rivals."""
    return (
        {how: track.tfrecord(cores, how) for how in PIPELINES},
        {(pool, workers): track.petastorm(cores, pool, workers) for pool, workers in POOLS},
    )


def race(
    track: Track,
    cores: int,
    chosen: dict[str, Pipeline | tuple[str, int]],
    repeats: int,
    tensors: bool,
) -> dict[str, list[Run]]:
    """Ours and the rivals in turns, `repeats` times: name -> runs.

    Args:
        chosen: each rival's variant, by name.
        tensors: whether ours also runs with its arrays made TensorFlow's, as "ours_tensors".
    """
    found: dict[str, list[Run]] = defaultdict(list)
    for _ in range(repeats):
        found["ours"].append(track.ours(cores))
        for name, how in chosen.items():
            is_pool = isinstance(how, tuple)
            run = track.petastorm(cores, *how) if is_pool else track.tfrecord(cores, how)
            found[name].append(run)
        if tensors:
            found["ours_tensors"].append(track.ours(cores, tensors=True))
    return dict(found)


def speedup(ours: list[Run], theirs: list[Run]) -> float:
    """Median over the turns of our rate over theirs."""
    return median(rate(a) / rate(b) for a, b in zip(ours, theirs, strict=True))
