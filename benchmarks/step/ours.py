"""The library's model and training step, as a run uses them, for a child of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.step import meter
from benchmarks.step.batches import LABELS, Batch
from intent.config import ModelConfig, TrainConfig
from intent.quiet import quiet_tensorflow
from intent.schema import Schema


class Ours(meter.Variant):
    """The model of `intent.models.dipn` under `intent.training.step`.

    Args:
        schema: of the data, as a dict.
        model, train: fields of ModelConfig and TrainConfig.
        rates: share of positive groups by task, for the first biases.
        weights: file to take the weights from; it is written if it is not there.
        portable: keras.ops alone.
    """

    def __init__(
        self, schema: dict, model: dict, train: dict, cores: int, weights: str | None = None,
        rates: dict | None = None, portable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        quiet_tensorflow()
        import keras

        from intent.models.dipn import build, reduce_schema
        from intent.models.tasks import start_from_base_rates
        from intent.training.comm import Solo
        from intent.training.step import adam, make_scoring_step, make_step

        config, options = ModelConfig(**model), TrainConfig(**train)
        self.portable, self.precision = portable, options.precision
        known = Schema.from_dict(schema)
        keras.utils.set_random_seed(options.seed)
        with self.form():
            self.model = build(known, config)
        start_from_base_rates(self.model, rates or {})
        if weights:
            share_weights(self.model, Path(weights))
        self.labels = [t.name for t in reduce_schema(known, config).tasks]
        self.optimizer = adam(options, self.model)
        self.rate, self.no_flags = options.learning_rate, np.zeros(0, np.float32)
        self.one_step = make_step(self.model, self.optimizer, self.labels, options, Solo())
        self.compiled_score = make_scoring_step(self.model, self.labels)

    @contextmanager
    def form(self) -> Iterator[None]:
        """What is built and traced within it has this variant's form and precision."""
        from intent.models import kernels
        from intent.training.precision import precision

        with kernels.portable() if self.portable else precision(self.precision):
            yield

    def about(self) -> dict[str, bool]:
        """Whether the CPU kernels are compiled here, and whether they compute in bfloat16."""
        from intent.models import kernels

        there = kernels.operators() is not None
        return {"kernels": there, "bfloat16": there and kernels.has_bfloat16()}

    def prepare(self, batch: Batch):
        rows = len(batch[LABELS])
        inputs = {name: batch[name] for name in self.model.input}
        return inputs, batch[LABELS], np.ones(rows, np.float32), np.array(rows, np.float32)

    def step(self, batch) -> float:
        """One update of the weights; the loss before it."""
        with self.form():
            return self.one_step(*batch, self.rate, self.no_flags).loss

    def score(self, batch) -> np.ndarray:
        """Probabilities [B, T]."""
        with self.form():
            return self.compiled_score(batch[0]).numpy()

    def held_out(self, data: str) -> float:
        """The loss over a file's batches, without learning."""
        total = 0.0
        found = self.batches(data)
        for batch, _ in found:
            p = np.clip(self.score(batch).astype(np.float64), 1e-7, 1 - 1e-7)
            total += -np.where(batch[1] > 0, np.log(p), np.log(1 - p)).sum(1).mean()
        return total / len(found)

    def curve(self, data: str, held_out: str, steps: int, every: int, order: int = 0) -> dict:
        """Losses of `steps` training steps, and every so often the loss on other groups.

        `order` seeds the order of the file's batches, anew in every pass.
        """
        found, losses, held = self.batches(data), [], [self.held_out(held_out)]
        rng = np.random.default_rng(order)
        while len(losses) < steps:
            for i in rng.permutation(len(found))[: steps - len(losses)]:
                losses.append(self.step(found[i][0]))
                if len(losses) % every == 0:
                    held.append(self.held_out(held_out))
        return {"losses": losses, "held_out": held, "without_r": self.without_r(held_out)}

    def without_r(self, data: str) -> float:
        """How far a score moves, at most, if nothing of inter-view attention reaches the branches.

        The control of every comparison by losses: where this is 0, they cannot see that part.
        """
        batch = self.batches(data)[0][0]
        narrow = [layer for layer in self.model.layers if layer.name.endswith("_narrow")]
        if not narrow:
            raise RuntimeError("the control cuts off the layers that model.position_width makes")
        before, kernels = self.score(batch), [layer.kernel.numpy() for layer in narrow]
        for layer in narrow:
            layer.kernel.assign(np.zeros(layer.kernel.shape, np.float32))
        apart = float(np.abs(self.score(batch) - before).max())
        for layer, kernel in zip(narrow, kernels, strict=True):
            layer.kernel.assign(kernel)
        return apart

    def parts(self, data: str, seconds: float) -> list[dict]:
        """Where a step goes, see `parts.of_step`."""
        from benchmarks.step import parts

        with self.form():
            batch, _ = self.batches(data)[0]
            return parts.of_step(self.model, self.optimizer, batch[0], seconds)


def share_weights(model, path: Path) -> None:
    """Takes the weights from `path`, by variable path; writes them there if there is no file."""
    if not path.exists():
        np.savez(path, **{v.path: np.asarray(v.value) for v in model.weights})
    with np.load(path) as file:
        for variable in model.weights:
            variable.assign(file[variable.path])
