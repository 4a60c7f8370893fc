"""A model, data and a run small enough to train in a second, for the tests of training.

The data is made up in memory; label and profile are related, so that there is something to learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from intent.config import IntentConfig, SamplesConfig, load_config
from intent.errors import IntentError
from intent.samples.feed import Batch
from intent.samples.manifest import Build, Manifest, Shard
from intent.schema import TASKS, Feature, Schema, View, narrowest
from intent.training.comm import Communicator, Solo
from intent.training.run_dir import RunDir, run_at

SCHEMA = Schema(
    views=(View("tap", (Feature("event", 2, 2), Feature("button", 10, 4, unknown=True)), "event"),),
    history=(Feature("cart_1w", 5, 2),),
    profile=(Feature("age_level", 9, 4),),
    tasks=TASKS,
    length=6,
)

POSITIVES = {task.name: 0 for task in TASKS}


class MemoryFeed:
    """Groups made from `seed`; each epoch in another order, which does not depend on the ranks."""

    def __init__(self, groups: int, batch_size: int, comm: Communicator, seed: int = 0) -> None:
        self.schema, self.groups, self.batch_size, self.comm = SCHEMA, groups, batch_size, comm
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, SCHEMA.length + 1, groups)
        real = np.arange(SCHEMA.length) < lengths[:, None]
        tap = np.stack([rng.integers(1, 3, real.shape), rng.integers(0, 12, real.shape)], axis=-1)
        profile = rng.integers(1, 10, (groups, 1))
        chance = np.stack([profile[:, 0] / 20, profile[:, 0] / 10], axis=1)
        self.labels = (rng.random((groups, 2)) < chance).astype(np.uint8)
        self.inputs = {
            "tap": (tap * real[..., None]).astype(narrowest(SCHEMA.views[0].features)),
            "history": rng.integers(1, 6, (groups, 1)).astype(np.uint8),
            "profile": profile.astype(np.uint8),
        }

    def of_rank(self, rank: int, world: int) -> MemoryFeed:
        """Its part is that of `comm`."""
        return self

    def steps(self, epoch: int) -> int:
        return -(-self.groups // self.batch_size)

    def state(self, epoch: int, step: int) -> dict:
        return {"epoch": epoch, "step": step, "groups": self.groups, "batch": self.batch_size}

    def resume(self, state: dict) -> tuple[int, int]:
        if state != self.state(state["epoch"], state["step"]):
            raise IntentError(f"{state} is of another order")
        return state["epoch"], state["step"]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        order = np.random.default_rng((7, epoch)).permutation(self.groups)
        share = -(-self.batch_size // self.comm.size)
        for step in range(start, self.steps(epoch)):
            whole = order[step * self.batch_size : (step + 1) * self.batch_size]
            mine = whole[self.comm.rank * share : (self.comm.rank + 1) * share]
            rows = np.concatenate([mine, np.zeros(share - len(mine), mine.dtype)])
            yield Batch(
                epoch,
                step,
                {name: ids[rows] for name, ids in self.inputs.items()},
                self.labels[rows],
                (np.arange(share) < len(mine)).astype(np.float32),
                len(whole),
                rows.astype(str).astype(object),
                np.zeros(share, np.int64),
            )


def manifest(content: str = "0" * 31 + "1", schema: Schema = SCHEMA) -> Manifest:
    """A manifest that stands for the data above."""
    shard = Shard("a.parquet", "2026-01-01", 1, 1, [1], [1], POSITIVES, 1, "0" * 64, content)
    return Manifest(
        layout="tracks",
        schema=schema,
        settings=SamplesConfig(cuts_per_day=1).of_groups(),
        shards=[shard],
        builds=[Build(["2026-01-01"], (0, 1), {}, {}, {}, {}, {}, [], "memory", "0")],
        dictionary_hash="0",
    )


def config(**train: object) -> IntentConfig:
    """A configuration of a tiny model; `train` as in TrainConfig."""
    small = {"batch_size": 16, "learning_rate": 0.01} | train
    model = {"hidden": 3, "action_width": 4, "context_width": 4, "branch_units": [4]}
    sets = [f"train.{key}={value}" for key, value in small.items()]
    return load_config(overrides=sets + [f"model.{key}={value}" for key, value in model.items()])


def model(settings: IntentConfig, seed: int = 1):
    """The tiny DIPN with weights drawn from `seed`."""
    import keras

    from intent.models.dipn import build

    keras.utils.set_random_seed(seed)
    return build(SCHEMA, settings.model)


def train(
    folder: Path | str,
    comm: Communicator | None = None,
    groups: int = 90,
    seed: int = 1,
    **settings,
) -> tuple[dict, list[np.ndarray], RunDir]:
    """Fit the tiny model in `folder`: the summary, the final weights, the run."""
    from intent.training.loop import fit

    comm = comm or Solo()
    chosen = config(**settings)
    built = model(chosen, seed)
    run = run_at(folder, chosen, manifest())
    summary = fit(
        built,
        MemoryFeed(groups, chosen.train.batch_size, comm),
        MemoryFeed(50, chosen.train.batch_size, comm, seed=1),
        chosen.train,
        comm,
        run,
        log_every=1,
    )
    return summary, built.get_weights(), run
