"""Runs works as trials of Ray Tune, to their end.

Ray Tune gives places, retries and the decisions of a scheduler, and no more: what has ended is
known to the caller, and what a work had reached lies in its run directory. So nothing of Ray Tune's
own account is kept (it would not bring back the scheduler, and it is pickled), and going on with a
sweep is a new experiment over the works that are left.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import Signals
from typing import Any

from cluster.processes import signals_noted
from cluster.starters.ray_cluster import connect
from cluster.tune.work import Listener, Work
from intent.errors import IntentError

TRIES = 3  # more, for a work that was killed or whose node was lost
SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # metrics are in the run directories
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # before the first validation there is no score
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours lets trials end with a checkpoint
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_works(
    works: Sequence[Work],
    hear: Listener,
    over: Callable[[], bool],
    *,
    scratch: Path,
    parallel: int | None = None,
    address: str | None = None,
    halving: Any = None,
) -> str:
    """Run `works` side by side until each has ended, was stopped or has failed.

    Args:
        hear: is told what happens, in this thread; must not raise.
        over: is asked again and again; once it says so, all works end with a checkpoint.
        scratch: a folder that all nodes see, for Ray Tune's own files; it is removed.
        parallel: works at the same time, at most (default: as there is room).
        address: of a Ray cluster; None for one that is started here, and ended.
        halving: `cluster.tune.halving.Halving`, which may stop works early.

    SIGINT, SIGTERM and a full disk end all works too. Returns "", the name of the signal, or
    "full". IntentError where Ray cannot be reached or has no room for a work.
    """
    import ray

    os.environ.update({k: v for k, v in SETTINGS.items() if k not in os.environ})
    cpus = works[0].cpus
    own = not ray.is_initialized()
    if own:
        slots = parallel or max(1, len(os.sched_getaffinity(0)) // cpus)
        connect(address, min(slots, len(works)), {"CPU": cpus})
    try:
        _check_room(cpus)
        with signals_noted() as signals:
            full = _fit(works, hear, lambda: over() or bool(signals), scratch, parallel, halving)
    finally:
        if own:
            ray.shutdown()
    return "full" if full else Signals(signals[0]).name if signals else ""


def _fit(
    works: Sequence[Work],
    hear: Listener,
    over: Callable[[], bool],
    scratch: Path,
    parallel: int | None,
    halving: Any,
) -> bool:
    """Run them with Ray as it is; whether a disk was full."""
    from ray import tune

    from cluster.tune.listening import Ear, Until
    from cluster.tune.trial import Training

    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ear = Ear(hear)
    shutil.rmtree(scratch, ignore_errors=True)  # of one that was killed
    try:
        with _full_disk_heard(ear):
            tune.Tuner(
                tune.with_resources(Training, {"cpu": works[0].cpus}),
                param_space={"work": tune.grid_search([work.to_dict() for work in works])},
                tune_config=tune.TuneConfig(scheduler=halving, max_concurrent_trials=parallel),
                run_config=tune.RunConfig(
                    name="trials",
                    storage_path=str(scratch.absolute()),
                    stop=Until(lambda: over() or ear.full),
                    # A run folder has its own; Ray Tune's would come at the end of each trial.
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=TRIES),
                    callbacks=[ear],
                    verbose=0,
                ),
            ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return ear.full


@contextmanager
def _full_disk_heard(ear: Any) -> Iterator[None]:
    """A block in which Ray Tune may find the disk full by itself."""
    try:
        yield
    except Exception as error:
        seen: BaseException | None = error
        while seen is not None:
            if getattr(seen, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                break
            seen = seen.__cause__ or seen.__context__
        if seen is None and "No space left" not in str(error):
            raise
        ear.full = True


def _check_room(cpus: int) -> None:
    """IntentError unless one node has room for a work: its ranks lie on one machine."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = max((resources.get("CPU", 0) for resources in alive), default=0)
    if most < cpus:
        raise IntentError(
            f"a trial needs {cpus} cores on one node, and Ray's largest node has {most:g}: give "
            "a smaller --np or --cores, or start larger nodes"
        )
