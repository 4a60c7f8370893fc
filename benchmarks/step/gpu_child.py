"""The model on one Keras backend, for a child of its own: speed, the device's peak, profile."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.step import gpu_steps, meter
from benchmarks.step.batches import LABELS, Batch, full, random_batches
from intent.config import ModelConfig, TrainConfig
from intent.models.dipn import build
from intent.schema import Schema

POLICIES = {"float32": "float32", "mixed": "mixed_bfloat16"}


class OnBackend(meter.Variant):
    """The library's model under KERAS_BACKEND, trained by `gpu_steps`, in one precision."""

    def __init__(self, schema: dict, model: dict, train: dict, cores: int, precision: str) -> None:
        super().__init__()
        keras.config.set_dtype_policy(POLICIES[precision])
        keras.utils.set_random_seed(0)
        self.schema = Schema.from_dict(schema)
        self.model = build(self.schema, ModelConfig(**model))
        make = gpu_steps.STEPS[keras.backend.backend()]
        labels = [t.name for t in self.schema.tasks]
        self.compiled_step = make(self.model, TrainConfig(**train), labels)

    def prepare(self, batch: Batch):
        put, weights = gpu_steps.on_device, np.ones(len(batch[LABELS]), np.float32)
        # PyTorch indexes with signed integers only; the library's own step widens on the device.
        inputs = {n: put(batch[n].astype(np.int32)) for n in self.model.input}
        return inputs, put(batch[LABELS].astype(np.int32)), put(weights)

    def step(self, batch) -> float:
        """One update of the weights; the loss before it."""
        loss = self.compiled_step(*batch)
        gpu_steps.wait(loss)
        return float(loss)

    def run(self, rows: int, seconds: float, steps: int) -> dict:
        """Trains on full windows of ids drawn by lot; "error" where the memory is too small."""
        try:
            batch = self.prepare(full(list(random_batches(self.schema, 1, rows)), self.schema)[0])
            for _ in range(2):  # compiles, and takes memory
                self.step(batch)
            return meter.timed(self.step, [(batch, rows)], seconds, steps)
        except Exception as error:
            if "memory" not in str(error).lower():
                raise
            return {"error": str(error).splitlines()[0][:200]}

    def operators(self, rows: int) -> list[dict]:
        """Where a step's time goes, by operator; none on JAX, which compiles them into others."""
        if keras.backend.backend() != "torch":
            return []
        batch = self.prepare(full(list(random_batches(self.schema, 1, rows)), self.schema)[0])
        return gpu_steps.torch_operators(lambda: self.compiled_step(*batch))

    def peak(self, size: int, seconds: float) -> float:
        """FLOP/s of one large matrix product in this precision: what the device can do at best."""
        dtype = keras.config.dtype_policy().compute_dtype
        a = keras.ops.cast(keras.random.normal((size, size)), dtype)

        def product(_) -> None:
            gpu_steps.wait(keras.ops.matmul(a, a))

        product(None)
        run = meter.timed(product, [(None, 1)], seconds, 3)
        return 2 * size**3 / min(run["each_s"])
