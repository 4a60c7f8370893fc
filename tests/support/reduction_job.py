"""One rank of the tests of the step: what a few steps give under each of some settings.

Arguments: a file with JSON, a list of {"train": settings, "bucket_bytes": ...}, and a file for what
is found, as JSON. Each rank's windows are cut to another length, as with train.bucket_lengths.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from cluster.horovod import connect
from intent.quiet import quiet_tensorflow
from intent.training import touched
from intent.training.comm import Communicator
from tests.support import small_training as small

GROUPS, BATCH, RATE = 64, 16, 0.01


def steps(settings: dict, comm: Communicator, bucket_bytes: int | None = None) -> dict:
    """Losses, histogram, weights, their digest and bytes of an epoch from the same start."""
    from intent.training.step import adam, make_step, pick_inputs

    touched.LEAST_BYTES = 100  # the small model's larger table
    config = small.config(**settings).train
    model = small.model(small.config())
    labels = [task.name for task in small.SCHEMA.tasks]
    step = make_step(model, adam(config, model), labels, config, comm, bucket_bytes=bucket_bytes)
    found = {"losses": [], "counts": 0, "bytes": [], "flags": []}
    for batch in small.MemoryFeed(GROUPS, BATCH, comm).batches(0):
        longest = int((batch.inputs["tap"][..., 0] > 0).sum(axis=1).max())
        inputs = pick_inputs(model, batch.inputs | {"tap": batch.inputs["tap"][:, :longest]})
        flags = np.array([comm.rank, 1], np.float32)
        done = step(inputs, batch.labels, batch.weights, batch.total, RATE, flags)
        found["losses"].append(done.loss)
        found["bytes"].append(done.bytes_sent)
        found["flags"].append(done.flags_F.tolist())
        found["counts"] = found["counts"] + done.counts
        assert 0 <= done.reducing_s < 60
    weights = model.get_weights()
    digest = hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest()
    return found | {"weights": weights, "digest": digest}


def main(wanted: Path, out: Path) -> None:
    comm = connect()
    found = []
    for each in json.loads(wanted.read_text()):
        one = steps(each.get("train", {}), comm, each.get("bucket_bytes"))
        one["counts"] = one["counts"].tolist()
        one["weights"] = [w.tolist() for w in one["weights"]]
        one["digest"] = comm.gather(one["digest"])
        found.append(one)
    if comm.rank == 0:
        out.write_text(json.dumps(found))


if __name__ == "__main__":
    quiet_tensorflow()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
