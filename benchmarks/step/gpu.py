"""The same model on a GPU: groups a second by batch size and precision, share of peak, profile.

Keras runs on the backend that the machine has, PyTorch or JAX. Without a GPU nothing is measured,
and nothing is simulated.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.outcome import outcome, tell
from benchmarks.samples.report import table
from benchmarks.step import flops
from benchmarks.step.child import Child
from benchmarks.step.race import rate
from intent.config import ModelConfig, TrainConfig
from intent.schema import PAPER, Schema

SIZES = (256, 512, 1024, 2048, 4096, 8192)
QUICK_SIZES = (256,)
PRODUCT = 8192  # rows of the matrices whose product is the peak


def main(quick: bool, out: Path | None, report: Path | None) -> None:
    """Measures and tells, or says that there is no GPU here."""
    device, backends = gpu_name(), [b for b in ("torch", "jax") if find_spec(b)]
    if device is None or not backends:
        why = "nvidia-smi finds none" if device is None else "neither PyTorch nor JAX is installed"
        print(f"no GPU to measure on: {why}; nothing was measured", file=sys.stderr)
        tell(outcome("train_step", quick, [], gpu=None), out)
        return
    os.environ.setdefault("KERAS_BACKEND", backends[0])  # there may be no TensorFlow here
    sizes, seconds = (QUICK_SIZES, 0.5) if quick else (SIZES, 2.0)
    found = {b: measure(b, PAPER, sizes, seconds, PRODUCT) for b in backends}
    result = outcome("train_step", quick, figures(found), gpu=device)
    if report:
        report.write_text(markdown(result, found))
    tell(result, out)


def gpu_name() -> str | None:
    """The first GPU of this machine; None where there is none."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    lines = done.stdout.splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def measure(
    backend: str, schema: Schema, sizes: tuple[int, ...], seconds: float, product: int,
    python: str | Path = sys.executable,
) -> dict:  # fmt: skip
    """precision -> runs by batch size, the device's peak, and the operators of a step."""
    cores = len(os.sched_getaffinity(0))
    env = {"KERAS_BACKEND": backend, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    env["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    found = {}
    for precision in ("float32", "mixed"):
        options = {
            "schema": schema.to_dict(), "model": ModelConfig().model_dump(mode="json"),
            "train": TrainConfig().model_dump(mode="json"), "precision": precision,
        }  # fmt: skip
        with Child("gpu_child.OnBackend", cores, python, env, **options) as child:
            peak = child.ask("peak", size=product, seconds=seconds)
            runs = {rows: child.ask("run", rows=rows, seconds=seconds, steps=5) for rows in sizes}
            good = [rows for rows in sizes if "error" not in runs[rows]]
            operators = child.ask("operators", rows=good[-1]) if good else []
        found[precision] = {"peak": peak, "runs": runs, "operators": operators}
    return found


def share_of_peak(run: dict, peak: float, schema: Schema = PAPER) -> float:
    """The arithmetic of the groups trained, over that of the large product in the same time."""
    forward = sum(flops.per_group(schema, ModelConfig()).values())
    return rate(run) * flops.TRAINING * forward / peak


def figures(found: dict) -> list[dict]:
    """Groups a second and share of peak, of each backend, precision and batch size."""
    out = []
    for backend, by_precision in found.items():
        for precision, of in by_precision.items():
            for rows, run in of["runs"].items():
                name = f"{backend}_{precision}_batch_{rows}"
                there = "error" not in run
                out += [
                    _figure(f"gpu_groups_per_second_{name}", rate(run) if there else None,
                            "groups/s"),
                    _figure(f"gpu_share_of_peak_{name}",
                            share_of_peak(run, of["peak"]) if there else None, "share"),
                ]  # fmt: skip
    return out


def _figure(name: str, value: float | None, unit: str) -> dict:
    return {"name": name, "value": value, "unit": unit, "goal": None, "met": None}


def markdown(result: dict, found: dict) -> str:
    """The page."""
    parts = [
        f"# The training step on a GPU, {datetime.now(UTC).date()}\n",
        "Ids drawn by lot, all 256 positions real in all views.\n\n"
        "    python benchmarks/train_step.py --gpu\n\n"
        f"Commit {result['commit']}; {result['gpu']}; {result['machine']}. The peak is one "
        f"product of two {PRODUCT:,} x {PRODUCT:,} matrices in the same precision on the same "
        "device; the share counts the model's matrix products.\n",
    ]
    for backend, by_precision in found.items():
        for precision, of in by_precision.items():
            rows = [
                [n, rate(run), 1000 * median(run["each_s"]), share_of_peak(run, of["peak"])]
                if "error" not in run else [n, run["error"], None, None]
                for n, run in of["runs"].items()
            ]  # fmt: skip
            parts += [
                f"## Keras on {backend}, {precision}: peak {of['peak'] / 1e12:.1f} TFLOP/s\n",
                table(["batch", "groups/s", "ms a step", "share of peak"], rows),
            ]
            if of["operators"]:
                head = ["operator", "ms a step", "share", "calls"]
                rows = [[o["operator"], o["ms"], o["share"], o["calls"]] for o in of["operators"]]
                parts += ["Where the device's time goes, at the largest batch:\n",
                          table(head, rows)]  # fmt: skip
    return "\n".join(parts)
