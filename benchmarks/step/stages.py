"""What is measured, stage by stage. Every stage gives plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.step import race
from benchmarks.step.batches import load, regrouped, save
from benchmarks.step.child import Child
from benchmarks.step.data import Kind
from intent.config import ModelConfig, TrainConfig

CORES = 2
PLAIN = ("plain", "plain_wrapper", "plain_xla")  # the fastest of them is the rival
BFLOAT16 = {"precision": "bfloat16"}
LOUD = {"attention_scale": "length"}  # the model of `loud`


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        counts: batches of each kind of data, see `data.make`.
        check_steps: steps whose losses must be those of ours.
        turns, seconds: of each variant in a race, and how long a turn lasts at least.
        inference: batch sizes of scoring.
        memory: batch sizes, the slope between the first and the last counts; () leaves it out.
        curve_steps: of the loss curves in other precision; 0 leaves them out.
        part_s: seconds for each layer of the profile.
        all_forms: whether all forms run, or only ours and one plain model.
    """

    users: int
    days: int
    batch: int
    counts: dict[str, int]
    check_steps: int
    turns: int
    seconds: float
    inference: tuple[int, ...]
    memory: tuple[int, ...]
    curve_steps: int
    part_s: float
    all_forms: bool


def common(
    kind: Kind, weights: Path | None, train: Mapping | None = None, model: Mapping | None = None
) -> dict:
    """The options that every variant gets, for data of this kind."""
    views = [v.name for v in kind.schema.views]
    model = ModelConfig(sources=None if len(views) > 1 else views, **(model or {}))
    options = {
        "schema": kind.schema.to_dict(),
        "model": model.model_dump(mode="json"),
        "train": {**TrainConfig().model_dump(mode="json"), **(train or {})},
        "cores": CORES,
    }
    return options | ({"weights": weights} if weights else {})


def variants(
    kind: Kind, folder: Path, size: Size, python: Path | None, form: str | None,
    given: dict | None = None,
) -> dict:  # fmt: skip
    """name -> (entry, options) of all that train on a kind of data; "ours" writes the weights."""
    given = given or common(kind, folder / f"weights-{'-'.join(kind.lengths)}.npz")
    plain = given | {"form": "two"}
    found = {"ours": ("ours.Ours", given | {"rates": kind.rates}), "plain": ("plain.Plain", plain)}
    if size.all_forms:
        found |= {
            "ours_portable": ("ours.Ours", given | {"portable": True}),
            "plain_wrapper": ("plain.Plain", given | {"form": "bidirectional"}),
            "plain_xla": ("plain.Plain", plain | {"jit": True}),
            "ours_bfloat16": ("ours.Ours", given | {"train": given["train"] | BFLOAT16}),
        }
    if python:
        torch = given | {"python": python, "form": form}
        found["torch"] = ("in_torch.Torch", torch)
        found["torch_compiled"] = ("in_torch.Torch", torch | {"compile": True})
    return found


def torch_forms(kind: Kind, weights: Path, python: Path, forms: tuple[str, ...]) -> dict:
    """Groups a second of eager PyTorch by form of the Bi-GRU and number of threads, one run each.

    All cores or one: with small steps, threads may wait for one another longer than they work.
    """
    found = {}
    for form in forms:
        given = common(kind, weights) | {"form": form}
        with Child("in_torch.Torch", python=python, **given) as child:
            for threads in (CORES, 1):
                child.ask("threads", count=threads)
                run = child.ask("train", data=kind.path)
                found[f"{form}, {threads} thread(s)"] = race.rate(run)
    return found


def same_losses(children: Mapping[str, Child], data: str, steps: int) -> dict:
    """The losses of ours, and how far each variant's are from them, step by step."""
    with ThreadPoolExecutor(CORES) as pool:  # they compile; nothing is timed
        names = list(children)
        asked = pool.map(lambda n: children[n].ask("losses", data=data, steps=steps), names)
        losses = dict(zip(names, asked, strict=True))
    ours = losses["ours"]
    apart = {
        name: [abs(a - b) for a, b in zip(ours, found, strict=True)]
        for name, found in losses.items()
        if name != "ours"
    }
    return {"ours": ours, "apart": apart}


def inference(
    children: Mapping[str, Child], kinds: Mapping[str, Kind], folder: Path, size: Size
) -> dict:
    """data -> batch size -> variant -> runs."""
    found: dict = {}
    for name, kind in kinds.items():
        groups = load(kind.path)
        for rows in size.inference:
            path = save(folder / f"{name}-{rows}.npz", regrouped(groups, rows)[:4])
            runs = race.scoring(children, path, size.turns, seconds=size.seconds / 4)
            found.setdefault(name, {})[rows] = runs
    return found


def short(kinds: Mapping[str, Kind], folder: Path, size: Size) -> dict:
    """Browse-only training: variant and whether its windows are cut -> runs over all groups."""
    padded, cut = kinds["browse"], kinds["browse_cut"]
    options = variants(padded, folder, size, None, None)
    names = ("ours", "ours_portable", "plain", "plain_xla")
    with ExitStack() as stack:
        children = race.start(stack, {n: options[n] for n in names if n in options})
        apart = same_losses(children, padded.path, size.check_steps)
        calls = {n: _whole(children[n], padded) for n in children}
        for name in set(names[:2]) & set(children):
            children[name].ask("train", data=cut.path, steps=cut.count)
            calls[f"{name}_cut"] = _whole(children[name], cut)
        runs = race.race(calls, size.turns)
        return {"runs": runs, "losses": apart, "rival": race.fastest(runs, PLAIN)}


def _whole(child: Child, kind: Kind):
    return lambda: child.ask("train", data=kind.path, steps=kind.count)


def memory(
    names: tuple[str, ...], options: Mapping, kind: Kind, folder: Path, size: Size
) -> dict[str, dict]:
    """variant -> batch size -> MiB before training and at its peak, each in a fresh process."""

    def run(name: str, rows: int) -> dict:
        path = folder / f"memory-{rows}.npz"
        entry, given = options[name]
        with Child(entry, **given) as child:
            return child.ask("memory", data=str(path), steps=3)

    for rows in size.memory:
        save(folder / f"memory-{rows}.npz", regrouped(load(kind.path), rows)[:1])
    jobs = [(name, rows) for name in names for rows in size.memory]
    with ThreadPoolExecutor(CORES) as pool:  # nothing is timed
        runs = list(pool.map(lambda job: run(*job), jobs))
    found: dict[str, dict] = {name: {} for name in names}
    for (name, rows), run_ in zip(jobs, runs, strict=True):
        found[name][rows] = run_
    return found


def per_group(runs: Mapping[int, dict]) -> float:
    """MiB that a further group of a batch takes: the slope of the peak over the batch size."""
    (few, a), (many, b) = sorted(runs.items())[:: len(runs) - 1]
    more = (b["peak_mib"] - b["before_mib"]) - (a["peak_mib"] - a["before_mib"])
    return more / (many - few)


def curves(kinds: Mapping[str, Kind], weights: Path, size: Size) -> dict:
    """Loss curves from `loud` weights: float32, it in another order of the groups, bfloat16."""
    kind, found = kinds["curve"], {}
    runs = {"float32": ({}, 0), "another order": ({}, 1), "bfloat16": (BFLOAT16, 0)}
    for name, (train, order) in runs.items():
        with Child("ours.Ours", **common(kind, weights, train, LOUD)) as child:
            found[name] = child.ask(
                "curve", data=kind.path, held_out=kinds["held_out"].path,
                steps=size.curve_steps, every=max(size.curve_steps // 10, 1), order=order,
            )  # fmt: skip
    return found


def deviation(a: list[float], b: list[float], width: int) -> float:
    """Median distance of two curves, each averaged over `width` steps at a time."""
    count = len(a) // width
    means = [[sum(c[i * width : (i + 1) * width]) / width for i in range(count)] for c in (a, b)]
    return median(abs(x - y) for x, y in zip(*means, strict=True))
