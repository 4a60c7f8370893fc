"""The learning rate of every update: a pure function of where the run stands.

Nothing of it is stored: a run that goes on from a checkpoint, with whatever number of processes,
has the rates of one that never stopped.
"""

from __future__ import annotations

import math

from intent.config import TrainConfig


def scaled_rate(config: TrainConfig) -> float:
    """The rate for `config.batch_size`, from `learning_rate`, which is for `reference_batch`.

    With k = batch_size / reference_batch:

    - none: the rate as it is given;
    - linear: k times it (Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.1). Derived
      for SGD, where k small steps and one of k times the length go about the same way;
    - sqrt: the root of k times it (Krizhevsky 2014, "One weird trick", section 5; Malladi et al.
      2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", which derives it for
      Adam, there together with beta_1, beta_2 and epsilon; those stay what they are set to here).
    """
    k = config.batch_size / config.reference_batch
    factor = {"none": 1.0, "linear": k, "sqrt": math.sqrt(k)}[config.scale_learning_rate]
    return config.learning_rate * factor


def learning_rate(config: TrainConfig, updates: int, steps_total: int) -> float:
    """The rate of the update that follows `updates` updates.

    In the first `warmup_steps` updates it rises by equal steps (Goyal et al. 2017, section 2.2,
    "gradual warmup"): from `learning_rate` itself where it was scaled above that, as they do, else
    from zero; update number `warmup_steps` is the first to have the full rate.

    After that it stays, or falls to zero along half a cosine that ends with the run (Loshchilov and
    Hutter 2017, "SGDR", equation (5) with eta_min = 0 and no restart).

    Args:
        config: see `TrainConfig`; `batch_size` is global, so the number of processes is no matter.
        updates: done before this one, from 0.
        steps_total: updates of the whole run, all epochs; only the cosine asks for it.
    """
    full, warmup = scaled_rate(config), config.warmup_steps
    if updates < warmup:
        low = config.learning_rate if full > config.learning_rate else 0.0
        return low + (full - low) * (updates + 1) / (warmup + 1)
    if config.decay == "none":
        return full
    done = (updates - warmup) / max(steps_total - warmup, 1)
    return full * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
