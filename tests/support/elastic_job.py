"""One worker of the tests of elastic training: python -m tests.support.elastic_job FOLDER

FOLDER/job.json   {"epochs", "groups", "batch", "pause_s", "faults": {"epoch:step": [rank, how]},
                   "meeting": [worker, generation] that is killed while the ranks meet, or null}
FOLDER/run        the run folder
FOLDER/fired      a file for each fault that has fired
FOLDER/ids        what each worker was given, a line for each step
FOLDER/hurry      once it is there, steps are made without the pause
FOLDER/out        the summary and the final weights
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster.member import Member, Place, called_home

FAILURES: dict[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(7),
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "stick": lambda: time.sleep(600),
    "leave": lambda: os.kill(os.getpid(), signal.SIGTERM),
}


def main(folder: Path) -> None:
    member = called_home()
    job = json.loads((folder / "job.json").read_text())

    import numpy as np

    from intent.quiet import quiet_tensorflow

    quiet_tensorflow()  # before what follows imports it

    from cluster.horovod import connect
    from intent.training.loop import fit
    from intent.training.run_dir import RunDir
    from tests.support import small_training as small

    if member and job["meeting"]:
        _die_while_meeting(member, *job["meeting"], folder / "fired" / "meeting")
    comm = connect()
    number = member.number if member else 0
    given = (folder / "ids" / f"{number}.jsonl").open("a", buffering=1)

    class Feed(small.MemoryFeed):
        def batches(self, epoch: int, start: int = 0) -> Iterator:
            for batch in super().batches(epoch, start):
                rank, how = job["faults"].get(f"{batch.epoch}:{batch.step}", (None, ""))
                fired = folder / "fired" / f"{batch.epoch}:{batch.step}"
                if rank == comm.rank and not fired.exists():
                    fired.write_text(f"{how} worker {number} rank {comm.rank} of {comm.size}")
                    FAILURES[how]()
                if not (folder / "hurry").exists():
                    time.sleep(job["pause_s"])
                line = {
                    "generation": member.generation if member else 0,
                    "rank": comm.rank,
                    "epoch": batch.epoch,
                    "step": batch.step,
                    "ids": [int(i) for i in batch.users[batch.weights > 0]],
                }
                given.write(json.dumps(line) + "\n")
                yield batch

    config = small.config(epochs=job["epochs"], batch_size=job["batch"], checkpoint_every=5)
    model = small.model(config, seed=1 + number)
    summary = fit(
        model,
        Feed(job["groups"], job["batch"], comm),
        small.MemoryFeed(50, job["batch"], comm, seed=1),
        config.train,
        comm,
        RunDir(folder / "run", config, small.manifest()),
        log_every=1,
    )
    if comm.rank == 0:
        np.savez(folder / "out" / "weights.npz", *model.get_weights())
        (folder / "out" / "summary.json").write_text(json.dumps(summary))


def _die_while_meeting(member: Member, number: int, generation: int, fired: Path) -> None:
    """It has been given its place, and the others wait for it there."""
    join = member.join

    def die() -> Place | None:
        place = join()
        if place and (member.number, place.generation) == (number, generation):
            fired.write_text(f"worker {number}")
            os.kill(os.getpid(), signal.SIGKILL)
        return place

    member.join = die


if __name__ == "__main__":
    from intent.errors import IntentError

    try:
        main(Path(sys.argv[1]))
    except IntentError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_status)
