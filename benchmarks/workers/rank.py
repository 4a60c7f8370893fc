"""One rank: python -m benchmarks.workers.rank SOCKET OPTIONS, under any launcher or none.

It binds itself to a core before anything starts threads, calls the benchmark at SOCKET, and runs
the real training loop at its desk. OPTIONS is JSON: {"small", "position_width", "train", "groups",
"ranks", "cores": list or null, "rows", "free", "folder"}.
"""

from __future__ import annotations

import json
import os
import sys
from multiprocessing.connection import Client
from pathlib import Path

from cluster.member import called_home


def main(address: str, options: dict) -> None:
    """Train at the desk until it says end."""
    place = int(os.environ.get("INTENT_WORKER", os.environ.get("HOROVOD_RANK", "0")))
    if options["cores"]:
        os.sched_setaffinity(0, {options["cores"][place % len(options["cores"])]})
    member = called_home()
    from intent.quiet import quiet_tensorflow

    quiet_tensorflow()
    import keras

    from benchmarks.workers.data import SMALL, make_groups, manifest
    from benchmarks.workers.desk import Desk, DeskFeed
    from cluster.horovod import connect
    from intent.config import IntentConfig, ModelConfig, TrainConfig
    from intent.models.dipn import build
    from intent.schema import PAPER
    from intent.training.loop import fit
    from intent.training.run_dir import RunDir

    comm = connect()
    schema = SMALL if options["small"] else PAPER
    config = IntentConfig(
        model=ModelConfig(position_width=options["position_width"]),
        train=TrainConfig(checkpoint_every=10**9, **options["train"]),
    )
    keras.utils.set_random_seed(0)
    model = build(schema, config.model)
    home = Client(address)
    home.send({"pid": os.getpid(), "rank": comm.rank, "place": place, "kernels": _kernels(),
               "parameters": model.count_params(), "sums": _sums(model)})  # fmt: skip
    desk = Desk(home, config.train, comm)
    if options["free"] or (member and member.generation > 0):  # a replacement is told nothing
        desk.free, desk.rows = True, options["rows"]
    feed = DeskFeed(schema, make_groups(schema, options["groups"]), desk, options["ranks"])
    fit(model, feed, None, config.train, comm, RunDir(Path(options["folder"]), config,
                                                      manifest(schema)))  # fmt: skip


def _sums(model) -> int:
    from intent.training.reduction import BUCKET_BYTES, buckets

    gradients = [v.value for v in model.trainable_variables]
    return len(buckets(gradients, range(len(gradients)), BUCKET_BYTES))


def _kernels() -> bool:
    from intent.models import kernels

    return kernels.operators() is not None


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
