"""One rank of the tests of Horovod: what to do is the first argument, the run folder the second.

train        train the small model to the end and save the final weights in the run; of several
             ranks: and say what each collective gives
unreduced    the same without the reduction of gradients (a negative control)
unguarded    the same, and without the check that ranks agree
short        the same, each batch cut to its longest window: other shapes on each rank
first        train only the first of its epochs
long         train for very long
exit:R, kill:R, sleep:R, freeze:R
             rank R fails in this way in the third step
environment  print the thread settings
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cluster.horovod import connect
from cluster.member import called_home
from intent.errors import IntentError
from intent.quiet import quiet_tensorflow
from tests.support import small_training


def main(what: str, folder: Path) -> None:
    called_home()
    quiet_tensorflow()
    comm = connect()
    print(f"rank {comm.rank} of {comm.size} is up", file=sys.stderr, flush=True)
    if what == "environment":
        if comm.rank == 0:
            print(json.dumps({n: v for n, v in os.environ.items() if "THREADS" in n}))
        return None
    if what in ("unreduced", "unguarded"):
        comm.allreduce = lambda tensors, name="": list(tensors)
    if what == "unguarded":
        import intent.training.loop

        intent.training.loop.check_agreement = lambda *_: None
    lengths = _cut_batches() if what == "short" else []
    how, _, rank = what.partition(":")
    if rank and int(rank) == comm.rank:
        _in_third_step(FAILURES[how])
    epochs = {"long": 2000, "first": 1}.get(what, 2)
    summary, weights, _ = small_training.train(folder, comm, epochs=epochs, seed=1 + comm.rank)
    also = {"lengths": comm.gather(lengths)}
    if what == "train" and comm.size > 1:
        also["collectives"] = _collectives(comm)
    if comm.rank == 0:
        np.savez(folder / "weights.npz", *weights)
        print(json.dumps(summary | also))
    return None


def _exit() -> None:
    print("the disk of this rank is on fire", file=sys.stderr)
    os._exit(7)


FAILURES: dict[str, Callable[[], object]] = {
    "exit": _exit,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sleep": lambda: time.sleep(600),
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


def _cut_batches() -> list[int]:
    """Cut batches from now on; the list is filled with their lengths."""
    original, lengths = small_training.MemoryFeed.batches, []

    def batches(self, epoch, start=0):
        for batch in original(self, epoch, start):
            tap = batch.inputs["tap"]
            lengths.append(max(1, int((tap[..., 0] > 0).sum(axis=1).max())))
            yield replace(batch, inputs=batch.inputs | {"tap": tap[:, : lengths[-1]]})

    small_training.MemoryFeed.batches = batches
    return lengths


def _in_third_step(fail: Callable[[], object]) -> None:
    original = small_training.MemoryFeed.batches

    def batches(self, epoch, start=0):
        for batch in original(self, epoch, start):
            if batch.step == 2:
                fail()
            yield batch

    small_training.MemoryFeed.batches = batches


def _collectives(comm) -> dict:
    import tensorflow as tf

    variable = tf.Variable([float(comm.rank), 5.0])
    comm.broadcast([variable])
    odd = None if comm.rank else {"a": [1, 2]}  # types that differ over ranks
    compiled = tf.function(lambda x: comm.allreduce([x, 2 * x]))
    return {
        "sum": [t.numpy().tolist() for t in compiled(tf.constant([1.0, comm.rank + 1.0]))],
        "broadcast": variable.numpy().tolist(),
        "gather": comm.gather(odd),
        "uneven": comm.gather("x" * (1 + 3 * comm.rank)),
        "object": comm.broadcast_object(odd),
    }


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except IntentError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
