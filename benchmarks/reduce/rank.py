"""One rank of the benchmark of communication: all variants of the step in turns.

python -m benchmarks.reduce.rank OPTIONS.json, under `cluster.launch`. Rank 0 writes the
measurements of both to the "out" of the options.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.reduce import wire
from benchmarks.reduce.ids import zipf_batch
from benchmarks.step import batches as files
from benchmarks.step.batches import LABELS

NEVER, ALWAYS = ({"sparse_embeddings": how} for how in ("never", "always"))
VARIANTS = {  # name -> settings of train, whether everything is one group
    "dense": (NEVER, False),
    "dense_one_group": (NEVER, True),
    "sparse": (ALWAYS, False),
    "sparse_one_group": (ALWAYS, True),
    "float16": ({"compression": "float16", **ALWAYS}, False),
    "bfloat16": ({"compression": "bfloat16", **ALWAYS}, False),
    "float16_dense": ({"compression": "float16", **NEVER}, False),
    "micro_batches_2": ({"micro_batches": 2}, False),
    "micro_batches_4": ({"micro_batches": 4}, False),
}
FLAGS = np.zeros(2, np.float32)


def main(options: dict) -> None:
    from intent.quiet import quiet_tensorflow

    quiet_tensorflow()
    import keras

    from cluster.horovod import connect
    from intent.config import ModelConfig, TrainConfig
    from intent.models.dipn import build
    from intent.schema import PAPER
    from intent.training.step import adam, make_step

    comm = connect()
    _pin(comm.rank)
    keras.utils.set_random_seed(0)
    model = build(PAPER, ModelConfig(position_width=options["position_width"]))
    optimizer, labels = adam(TrainConfig(), model), [t.name for t in PAPER.tasks]
    comm.broadcast([v.value for v in model.variables])
    steps = {}
    for name in options["variants"]:
        settings, one_group = VARIANTS[name]
        more = {"bucket_bytes": None} if one_group else {}
        steps[name] = make_step(model, optimizer, labels, TrainConfig(**settings), comm, **more)
    found = []
    for data, batch in _batches(options, comm).items():
        for turn in range(-1, options["turns"]):  # the first compiles
            for name, step in steps.items():
                comm.gather(None)  # all begin together
                times = _one(step, batch, options["steps"], comm)
                if turn >= 0:
                    found += [{"data": data, "variant": name, "turn": turn, **t} for t in times]
    idle = _idle(comm, options["idle_s"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    mine = {"runs": found, "idle_bytes_per_s": idle, "peak_mib": peak}
    everything = comm.gather(mine)
    if comm.rank == 0:
        Path(options["out"]).write_text(json.dumps(everything))


def _pin(rank: int) -> None:
    """Bind all threads that there are, and so those that they start, to one core for each rank."""
    cores = sorted(os.sched_getaffinity(0))
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {cores[rank % len(cores)]})


def _batches(options: dict, comm) -> dict:
    """name of the data -> this rank's share of one step."""
    from intent.schema import PAPER

    rows = options["rows"]
    made = {"full": zipf_batch(PAPER, rows, seed=comm.rank)}
    if options["shop"]:
        shop = files.regrouped(files.load(options["shop"]), rows)[comm.rank]
        made["shop"] = {name: ids for name, ids in shop.items() if name != LABELS}
    labels = np.random.default_rng(comm.rank).integers(0, 2, (rows, 2)).astype(np.uint8)
    return {name: (ids, labels, np.ones(rows, np.float32)) for name, ids in made.items()}


def _one(step, batch, count: int, comm) -> list[dict]:
    total, found = len(batch[2]) * comm.size, []
    for _ in range(count):
        before, began = wire.bytes_sent(), time.perf_counter()
        outcome = step(*batch, total, 1e-3, FLAGS)
        took = time.perf_counter() - began
        found.append({
            "step_s": took,
            "reducing_s": outcome.reducing_s,
            "bytes": outcome.bytes_sent,
            "wire_bytes": wire.between(before, wire.bytes_sent()),
        })  # fmt: skip
    return found


def _idle(comm, seconds: float) -> float:
    """Bytes a second that Horovod sends while there is nothing to reduce."""
    comm.gather(None)
    before, began = wire.bytes_sent(), time.perf_counter()
    time.sleep(seconds)
    return wire.between(before, wire.bytes_sent()) / (time.perf_counter() - began)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
