"""One training of one form, in a process of its own; its scores of the held-out day are kept.

python -m benchmarks.head.training '{"samples": ..., "form": ..., "out": ..., ...}'
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(
    samples: str, form: str, attention_scale: str, seed: int, epochs: int, batch: int,
    negative_rate: float, out: str,
) -> dict:  # fmt: skip
    """Trains, scores the held-out day into OUT.parquet, and returns what is in OUT.json."""
    import keras

    from benchmarks.head import forms
    from intent.config import IntentConfig, ModelConfig, TrainConfig
    from intent.evaluation.predict import predict
    from intent.models.tasks import start_from_base_rates
    from intent.samples.reader import open_samples
    from intent.samples.undersampling import learnt_label_rates, learnt_rate
    from intent.training.comm import Solo
    from intent.training.logbook import read_metrics
    from intent.training.loop import fit
    from intent.training.run_dir import open_run
    from jobs.train import feeds

    train = TrainConfig(
        seed=seed, epochs=epochs, batch_size=batch, negative_rate=negative_rate,
        checkpoint_every=1_000_000, keep_checkpoints=1,
    )  # fmt: skip
    settings = IntentConfig(train=train, model=ModelConfig(attention_scale=attention_scale))
    manifest = open_samples(samples)
    feed, held_out = feeds(samples, manifest, settings, Solo())
    keras.utils.set_random_seed(seed)
    model = forms.model(manifest.schema, form, attention_scale)
    start_from_base_rates(model, learnt_label_rates(feed.manifest, train))
    batches = held_out.batches(0)
    some = {name: ids[:64] for name, ids in next(batches).inputs.items() if name in model.input}
    batches.close()
    untrained = forms.signal(model, some) if form != "without" else {}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        directory = open_run(folder, settings, manifest)
        summary = fit(model, feed, None, train, Solo(), directory)
        losses = [r["loss"] for r in read_metrics(directory.metrics) if r["kind"] == "step"]
    found = {
        "form": form, "attention_scale": attention_scale, "seed": seed,
        "parameters": model.count_params(), "steps": summary["steps"],
        "groups": summary["groups"], "seconds": time.monotonic() - begun,
        "loss_of_last_epoch": summary["loss"],
        "losses": losses,
        "untrained": untrained,
        "trained": forms.signal(model, some) if form != "without" else {},
    }  # fmt: skip
    predict(model, held_out, learnt_rate(manifest, train)).save(Path(f"{out}.parquet"))
    Path(f"{out}.json").write_text(json.dumps(found))
    return found


def once(**options: object) -> dict:
    """The result of `run` from OUT.json if it is there, else from a fresh process."""
    kept = Path(f"{options['out']}.json")
    if not kept.exists():
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env |= {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
        command = [sys.executable, "-m", "benchmarks.head.training", json.dumps(options)]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{options} failed:\n{done.stderr[-4000:]}")
    return json.loads(kept.read_text())


if __name__ == "__main__":
    from intent.quiet import quiet_tensorflow

    quiet_tensorflow()
    run(**json.loads(sys.argv[1]))
