"""The training step's benchmark as a page of markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median

from benchmarks.samples.report import table
from benchmarks.step.data import QUANTILES
from benchmarks.step.race import cpu_per_group, rate
from benchmarks.step.stages import per_group

NAMES = {
    "ours": "ours",
    "ours_portable": "ours, keras.ops alone",
    "ours_bfloat16": "ours, bfloat16",
    "ours_cut": "ours, windows cut to like lengths",
    "ours_portable_cut": "ours, keras.ops alone, windows cut to like lengths",
    "plain": "plain Keras, two GRU layers, tf.function",
    "plain_wrapper": "plain Keras, Bidirectional(GRU), tf.function",
    "plain_xla": "plain Keras, two GRU layers, jit_compile",
    "torch": "PyTorch, eager",
    "torch_compiled": "PyTorch, torch.compile",
}


def markdown(result: dict, found: dict) -> str:
    """The whole page."""
    size = found["size"]
    quick = " --quick" if result["quick"] else ""
    kernels = "compiled on this machine" if found["kernels"] else "not there: keras.ops ran instead"
    parts = [
        f"# A training step against plain Keras and PyTorch, {datetime.now(UTC).date()}\n",
        "Everything here is simulated data.\n\n"
        f"    python benchmarks/train_step.py{quick} --torch-env FOLDER\n\n"
        f"Commit {result['commit']}; {result['machine']}; all variants on 2 cores, each in a "
        f"process of its own, in turns. Batches of {size['batch']}, windows of 256, the model's "
        "default sizes, Adam, the same weights at the start. The CPU kernels of ours are "
        f"{kernels}.\n",
        "## Figures\n",
        "A speedup is the median over the turns; over Keras, it is over the fastest of the plain "
        f"forms, here: {NAMES[found['rival']]}.\n",
        table(
            ["figure", "value", "unit", "goal", "met"],
            [[f[k] for k in ("name", "value", "unit", "goal", "met")] for f in result["figures"]],
        ),
        "## The data\n",
        "full: every position real in all views, the worst case. shop: as the simulated shop makes "
        "them at the rates of the paper's Table 1. browse: page views alone, windows that end "
        "where a session begins. Real actions of a window, quantiles:\n",
        table(
            ["data", "view", *(f"{q:.0%}" for q in QUANTILES)],
            [[d, view, *q] for d, views in found["lengths"].items() for view, q in views.items()],
        ),
        "## The same losses\n",
        f"The first {size['check_steps']} training steps on shop: largest distance from ours, and "
        "at the first step.\n",
        table(
            ["variant", "largest", "first step"],
            [[NAMES[n], max(a), a[0]] for n, a in found["losses"]["apart"].items()],
        ),
    ]
    parts += _loud(found)
    for data, runs in found["training"].items():
        parts += [f"## Training, {data}\n", _runs(runs)]
    if "torch_forms" in found:
        parts += [
            "PyTorch's Bi-GRU, one run of each form on full, eager; the fastest runs above. packed "
            "is one bidirectional nn.GRU over packed sequences, reversed two over whole windows:\n",
            table(["form", "groups/s"], [[n, r] for n, r in found["torch_forms"].items()]),
        ]
    parts += _short(found) + _inference(found) + _memory(found) + _curves(found)
    for name, rows in found["parts"].items():
        whole = 1000 * median(s for r in found["training"]["full"][name] for s in r["each_s"])
        parts += [
            f"## Where a step goes, {NAMES[name]}\n",
            "Each layer forward and backward by itself on a batch of full, and Adam; a step of all "
            f"takes {whole:.0f} ms.\n",
            table(["part", "layers", "ms"], [[r["part"], r["layers"], r["ms"]] for r in rows]),
        ]
    return "\n".join(parts)


def _loud(found: dict) -> list[str]:
    if "loud" not in found:
        return []
    return [
        "From those weights, cutting inter-view attention off moves no score by more than "
        f"{found['losses']['without_r']:.1e}, so these losses say little of it. From weights with "
        "20 times louder embeddings, equation (3) scaled by the length, it moves one by "
        f"{found['loud']['without_r']:.1e}:\n",
        table(
            ["variant", "largest", "first step"],
            [[NAMES[n], max(a), a[0]] for n, a in found["loud"]["apart"].items()],
        ),
    ]


def _runs(runs: dict) -> str:
    rows = [
        [NAMES[n], median(map(rate, r)), min(map(rate, r)), max(map(rate, r)),
         1000 * median(map(cpu_per_group, r)), 1000 * median(s for run in r for s in run["each_s"]),
         median(run["cpu_s"] / len(run["each_s"]) for run in r)]
        for n, r in runs.items()
    ]  # fmt: skip
    head = ["variant", "groups/s, median of the turns", "least", "most", "CPU ms a group",
            "ms a step", "CPU s a step"]  # fmt: skip
    return table(head, rows)


def _short(found: dict) -> list[str]:
    apart = {NAMES[n]: max(a) for n, a in found["short"]["losses"]["apart"].items()}
    return [
        "## Short sequences\n",
        "All groups of browse in every turn; padded to 256 unless cut. Largest distance of the "
        f"losses from ours: {', '.join(f'{n} {a:.1e}' for n, a in apart.items())}.\n",
        _runs(found["short"]["runs"]),
    ]


def _inference(found: dict) -> list[str]:
    rows = [
        [data, batch, NAMES[n], median(map(rate, r)),
         1000 * median(s for run in r for s in run["each_s"])]
        for data, sizes in found["inference"].items()
        for batch, runs in sizes.items()
        for n, r in runs.items()
    ]  # fmt: skip
    head = ["data", "batch", "variant", "groups/s", "ms a batch"]
    return ["## Scoring\n", table(head, rows)]


def _memory(found: dict) -> list[str]:
    if "memory" not in found:
        return []
    rows = [
        [NAMES[n], batch, r["before_mib"], r["peak_mib"] - r["before_mib"], per_group(runs)]
        for n, runs in found["memory"].items()
        for batch, r in runs.items()
    ]
    head = ["variant", "batch", "MiB before training", "more at the peak", "MiB a group"]
    return [
        "## Memory\n",
        "Three steps on full, each in a fresh process. MiB a group is the slope between the batch "
        "sizes.\n",
        table(head, rows),
    ]


def _curves(found: dict) -> list[str]:
    if "curves" not in found:
        missing = ["bfloat16: the kernels cannot compute in it on this CPU; not measured.\n"]
        return [] if found["bfloat16"] else missing
    held = {name: curve["held_out"] for name, curve in found["curves"].items()}
    rows = [[i, *at] for i, at in enumerate(zip(*held.values(), strict=True))]
    steps = len(found["curves"]["float32"]["losses"])
    return [
        "## Loss curves\n",
        f"{steps} steps on shop groups, the loss on held-out groups after every tenth of them. "
        "bfloat16 has the order of the first column; noise is another order. They start from the "
        "louder weights, where inter-view attention, all that bfloat16 changes, moves scores (by "
        f"{found['curves']['float32']['without_r']:.1e} at the end):\n",
        table(["tenths", *held], rows),
    ]
