"""The data of the training step's benchmark, all of it simulated: three kinds of batches in files.

"full": all 256 positions of all views are real, the worst case. "shop": groups as the simulated
shop makes them at the rates of the paper's Table 1, with their real lengths. "browse": page views
alone, whose windows end where a session begins, so they are short; "browse_cut" holds the same
groups as the feed gives them with train.bucket_lengths, cut to like lengths.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.step import batches as files
from benchmarks.step.batches import LABELS, Batch
from intent.schema import PAPER, Schema

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SESSION_GAP_MINUTES = 270  # ends a session of "browse": leaves a median of about 12 actions


@dataclass(frozen=True)
class Kind:
    """One kind of data.

    Attributes:
        schema: of its groups, with the sources that the model takes.
        path: file of its batches.
        count: batches in the file.
        lengths: view -> number of real actions at QUANTILES.
        rates: share of positive groups, by task.
    """

    schema: Schema
    path: str
    count: int
    lengths: dict[str, list[float]]
    rates: dict[str, float]


def make(folder: Path, users: int, days: int, batch: int, counts: dict[str, int]) -> dict:
    """Simulates a shop, builds its samples twice, writes batches: name -> Kind.

    Args:
        counts: batches of "full", "shop", "curve", "held_out" and "browse".
    """
    from benchmarks.feed.data import intent  # these load more than a GPU machine need have
    from intent.samples import manifest as manifests
    from intent.simulate.shop import simulate

    logs, tracks, sessions = folder / "logs", folder / "tracks", folder / "sessions"
    simulate(logs, users, days, 1, rate=1.0)
    intent("samples", "--logs", str(logs), "--out", str(tracks), "--cores", "2")
    shutil.copytree(logs / "browse", folder / "pages" / "browse")
    gap = f"samples.session_gap_minutes={SESSION_GAP_MINUTES}"
    intent(
        "samples", "--logs", str(folder / "pages"), "--out", str(sessions), "--cores", "2",
        "--set", gap,
    )  # fmt: skip
    schema = manifests.load(tracks).schema
    names = ("shop", "curve", "held_out")
    stream = feed(tracks, schema, batch)
    taken = {name: list(islice(stream, counts[name])) for name in names}
    taken["full"] = files.full(taken["shop"][: counts["full"]], schema)
    kinds = {name: kind(folder, name, schema, taken[name]) for name in (*names, "full")}
    pages = manifests.load(sessions).schema.keep(["browse"])
    limit = counts["browse"] * batch
    for name, bucket in (("browse", False), ("browse_cut", True)):
        found = list(feed(sessions, pages, batch, limit=limit, bucket_lengths=bucket))
        kinds[name] = kind(folder, name, pages, found)
    return kinds


def make_random(folder: Path, batch: int, counts: dict[str, int]) -> dict:
    """The same kinds of ids drawn by lot, in a second, to try the benchmark."""
    taken = {
        name: list(files.random_batches(PAPER, counts[name], batch, seed))
        for seed, name in enumerate(("shop", "curve", "held_out"))
    }
    taken["full"] = files.full(taken["shop"][: counts["full"]], PAPER)
    kinds = {name: kind(folder, name, PAPER, found) for name, found in taken.items()}
    pages = PAPER.keep(["browse"])
    short = list(files.random_batches(pages, counts["browse"], batch, typical=12, spread=0.5))
    kinds["browse"] = kind(folder, "browse", pages, short)
    kinds["browse_cut"] = kind(folder, "browse_cut", pages, [cut(b) for b in short])
    return kinds


def cut(batch: Batch) -> Batch:
    """A batch's browse windows, cut to the smallest of 16, 32 ... that holds the longest."""
    longest = int(batch["browse"].any(-1).sum(1).max())
    return batch | {"browse": batch["browse"][:, : max(16, 1 << (longest - 1).bit_length())]}


def feed(tracks: Path, schema: Schema, batch: int, **options: object) -> Iterable[Batch]:
    """The batches of an epoch that are full, as a run would get them."""
    from intent.samples import manifest as manifests
    from intent.samples.petastorm_compat import install

    install()
    from intent.samples.reader import TrackFeed

    source = TrackFeed(str(tracks), manifests.load(tracks), schema, batch=batch, **options)
    for found in source.batches(0):
        if found.total == batch:
            yield {**found.inputs, LABELS: found.labels}


def kind(folder: Path, name: str, schema: Schema, batches: list[Batch]) -> Kind:
    """Writes the batches, and says what they are."""
    if not batches:
        raise RuntimeError(f"there are too few groups for a batch of {name!r}; raise the users")
    labels = np.concatenate([b[LABELS] for b in batches])
    return Kind(
        schema=schema,
        path=files.save(folder / f"{name}.npz", batches),
        count=len(batches),
        lengths={
            view: np.quantile(n, QUANTILES).tolist()
            for view, n in files.lengths(batches, schema).items()
        },
        rates={t.name: float(labels[:, i].mean()) for i, t in enumerate(schema.tasks)},
    )
