"""The part of `intent train` that fits a baseline to session features: no epochs, one process."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intent.errors import UsageError

if TYPE_CHECKING:
    from intent.baselines.boosting import Curve
    from intent.config import IntentConfig
    from intent.samples.feed import Feed
    from intent.samples.manifest import Manifest
    from intent.training.run_dir import RunDir

log = logging.getLogger(__name__)
EVERY = 10  # rounds between two records in metrics.jsonl
BATCH = 1024  # groups whose features are made at a time


def train_counted(
    samples: str | Path, run: str | Path, settings: IntentConfig, manifest: Manifest
) -> dict[str, Any]:
    """Fit a baseline to the groups that a network would learn from, and score the watched days.

    A run that has its model already is only scored again. Returns a summary like that of
    `intent.training.loop.fit`.
    """
    from intent.baselines.session_model import fit, load
    from intent.baselines.table import read_table
    from intent.samples.manifest import load_dictionaries, save_dictionaries
    from intent.training.comm import Solo
    from intent.training.run_dir import run_at
    from jobs.train import feeds

    if int(os.environ.get("HOROVOD_SIZE", 1)) > 1:
        raise UsageError(
            f"model.kind={settings.model.kind} is fitted by one process with as many threads as "
            f"there are cores; this is one of {os.environ['HOROVOD_SIZE']}: start it alone"
        )
    directory = run_at(run, settings, manifest).open()
    save_dictionaries(directory.path, load_dictionaries(samples, manifest))
    directory.note_samples(samples)
    began = time.monotonic()
    # The plan's order does not depend on the batch, and larger ones are counted faster.
    reading = settings.train.model_copy(update={"batch_size": BATCH})
    settings = settings.model_copy(update={"train": reading})
    learnt, watched = feeds(samples, manifest, settings, Solo())
    curves: dict[str, Curve] = {}
    if directory.model.exists():
        model, groups = load(directory.path), 0
        log.info("%s is there: nothing is fitted anew", directory.shown(directory.model))
    else:
        table = read_table(learnt, _epochs(settings))
        groups = len(table.values)
        tasks = [task.name for task in learnt.schema.tasks]
        model, curves = fit(table, tasks, settings.model, settings.train.seed)
    validation = _validate(model, watched, settings)
    if groups:
        _record(directory, curves, validation)
        model.save(directory.path)
    directory.sync()
    seconds = time.monotonic() - began
    rounds = {t: m.num_trees() for t, m in model.of_task.items() if hasattr(m, "num_trees")}
    loss = sum(curve.loss[rounds[t] - 1] for t, curve in curves.items() if curve.loss)
    return {
        "ranks": 1,
        "epochs": _epochs(settings),
        "seconds": seconds,
        "groups": groups,
        "groups_per_second": groups / max(seconds, 1e-9),
        "features": len(model.names),
        "rounds": rounds,
        "leading": {task: list(model.leading(task))[:5] for task in model.tasks},
        "loss": loss or None,
        "validation": validation,
        "weights": "fitted",
        "model": directory.shown(directory.model),
    }


def _epochs(settings: IntentConfig) -> int:
    """Epochs to read: all of them where each has other groups, so that as many are seen."""
    options = settings.train
    return options.epochs if options.max_groups or options.negative_rate < 1 else 1


def _validate(model, feed: Feed, settings: IntentConfig) -> dict[str, float]:
    """AUC and log loss of the watched days, as the loop of the networks gives them."""
    import numpy as np

    from intent.evaluation.predict import predict
    from intent.samples.undersampling import share_seen
    from intent.training.validate import summarize

    found = predict(model, feed, share_seen(settings.train))
    scores = np.stack(list(found.scores.values()), axis=1)
    return summarize(scores, found.labels, list(found.scores))


def _record(directory: RunDir, curves: dict[str, Curve], validation: dict[str, float]) -> None:
    """metrics.jsonl: the loss at every tenth round, and the figures of the watched days."""
    from intent.training.logbook import Logbook

    book = Logbook(directory, 0, active=True)
    longest = max((len(curve.loss) for curve in curves.values()), default=0)
    for turn in sorted({*range(EVERY, longest + 1, EVERY), longest} - {0}):
        at = {task: min(turn, len(c.loss)) - 1 for task, c in curves.items() if c.loss}
        record = {f"loss_{task}": curves[task].loss[i] for task, i in at.items()}
        record = {"loss": sum(record.values()), **record}
        record |= {f"loss_of_others_{t}": curves[t].loss_of_others[i] for t, i in at.items()}
        book.write("step", turn, 0, record)
    book.write("validation", longest, 0, validation)
    book.finish()
    book.close()
