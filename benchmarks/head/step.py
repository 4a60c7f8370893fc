"""What a head costs a step: time of its forward and backward pass and of Adam, alone and in turns.

python -m benchmarks.head.step '{"length": 256, "batch": 128, "rounds": 9, "device": true}'
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = 32


def measure(length: int, batch: int, rounds: int) -> dict[str, dict]:
    """By form: "head_parameters", "parameters" of the whole, "gradient_bytes", "head_ms"."""
    from benchmarks.head import forms
    from intent.schema import PAPER

    schema, found, steps = replace(PAPER, length=length), {}, {}
    trunk = forms.model(schema, "without", "none").count_params()
    trunk -= forms.head(schema, "without", HIDDEN).count_params()
    attention = len(schema.views) * 2 * HIDDEN * HIDDEN  # W_a: nothing reads it without the r's
    for form in forms.FORMS:
        head = forms.head(schema, form, HIDDEN)
        size = head.count_params()
        whole = trunk + size + (attention if form != "without" else 0)
        found[form] = {
            "head_parameters": size, "parameters": whole, "gradient_bytes": 4 * whole,
        }  # fmt: skip
        steps[form] = training_step(head, batch)
    times: dict[str, list[float]] = {form: [] for form in steps}
    for _ in range(rounds):
        for form, step in steps.items():
            begun = time.perf_counter()
            step()
            times[form].append(1000 * (time.perf_counter() - begun))
    return {form: {**found[form], "head_ms": median(times[form])} for form in found}


def training_step(head, batch: int):
    """A function without arguments that takes one step of `head` on random numbers."""
    import keras
    import tensorflow as tf

    shapes = {name: (batch, *t.shape[1:]) for name, t in head.input.items()}
    inputs = {name: tf.random.normal(shape) for name, shape in shapes.items()}
    optimizer = keras.optimizers.Adam()
    optimizer.build(head.trainable_variables)
    weights = [v.value for v in head.trainable_variables]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = head(inputs)
            loss = sum(tf.reduce_mean(tf.nn.softplus(x)) for x in outputs.values())
        gradients, back = tape.gradient(loss, [weights, inputs], unconnected_gradients="zero")
        optimizer.apply(gradients, head.trainable_variables)
        return [tf.reduce_sum(g) for g in back.values()]  # so that they are computed

    step()
    return lambda: [x.numpy() for x in step()]


def device_mib(length: int) -> dict[str, float]:
    """Size of the bundle for a device with weights in 8 bits: the wide head's and the default's."""
    from intent.config import ModelConfig
    from intent.edge.export import export_model
    from intent.models.dipn import build
    from intent.schema import PAPER

    schema, found = replace(PAPER, length=length), {}
    configs = {"wide": ModelConfig(position_width=None), "default": ModelConfig()}
    for name, config in configs.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "device"
            summary = export_model(build(schema, config), schema, config, {}, out)
        found[name] = summary["size_mib"]
    return found


def once(length: int, batch: int, rounds: int, device: bool) -> dict[str, dict]:
    """ "forms": what `measure` gives; "device_mib", if `device`. In a fresh process."""
    options = {"length": length, "batch": batch, "rounds": rounds, "device": device}
    env = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-m", "benchmarks.head.step", json.dumps(options)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{options} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    device = given.pop("device")
    costs = {"forms": measure(**given)}
    print(json.dumps(costs | ({"device_mib": device_mib(given["length"])} if device else {})))
