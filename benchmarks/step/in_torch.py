"""The PyTorch module's training step and scoring, for a child in PyTorch's environment."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.step import meter
from benchmarks.step.batches import LABELS, Batch
from benchmarks.step.plain_torch import TorchDIPN, copy_weights, losses
from intent.schema import Schema


class Torch(meter.Variant):
    """The module of `plain_torch`, eager or compiled.

    Args:
        schema: as a dict, reduced to what the model takes.
        model, train: fields of ModelConfig and TrainConfig.
        weights: file with ours, by path.
        form: of the Bi-GRU, see `plain_torch.FORMS`.
        threads: of a matrix product; by default the cores.
        compile: whether torch.compile makes the forward and backward pass.
    """

    def __init__(
        self, schema: dict, model: dict, train: dict, weights: str, cores: int, form: str,
        threads: int | None = None, compile: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.threads(threads or cores)
        torch.set_flush_denormal(True)  # as TensorFlow's threads do
        known = Schema.from_dict(schema)
        self.model = TorchDIPN(known, model, form)
        with np.load(weights) as file:
            copy_weights(self.model, file)
        self.epsilon, self.beta_2, self.steps = train["epsilon"], train["beta_2"], 0
        self.adam = torch.optim.Adam(
            self.model.parameters(), train["learning_rate"], (train["beta_1"], train["beta_2"]),
            fused=True,
        )  # fmt: skip
        self.call = torch.compile(self.model) if compile else self.model
        self.names = [*self.model.windows, *self.model.contexts]

    def threads(self, count: int) -> None:
        """How many threads work on an operation from now on."""
        torch.set_num_threads(count)

    def prepare(self, batch: Batch):
        inputs = {name: torch.from_numpy(batch[name].astype(np.int64)) for name in self.names}
        return inputs, torch.from_numpy(batch[LABELS].astype(np.float32))

    def step(self, batch) -> float:
        """One update of the weights; the loss before it."""
        inputs, labels = batch
        self.steps += 1
        for group in self.adam.param_groups:
            # Keras adds epsilon before it corrects the second moment, PyTorch after.
            group["eps"] = self.epsilon / (1 - self.beta_2**self.steps) ** 0.5
        self.adam.zero_grad()
        loss = losses(self.call(inputs), labels)
        loss.backward()
        self.adam.step()
        return loss.item()

    def score(self, batch) -> np.ndarray:
        """Probabilities [B, T]."""
        with torch.inference_mode():
            return torch.sigmoid(self.call(batch[0])).numpy()
