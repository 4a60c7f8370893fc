"""The training loop: the same code for one process and for many.

Rank 0 is the coordinator: its weights and optimizer state are everybody's at the start, it writes
the checkpoints, the metrics and the model, and shows the progress. Every rank takes its slice of
each step of the epoch plan; the slices' gradients are summed.
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from intent.config import TrainConfig
from intent.errors import IntentError
from intent.progress import Bar, progress
from intent.samples.undersampling import share_seen
from intent.training import checkpoint
from intent.training.agreement import check_agreement
from intent.training.checkpoint import Position
from intent.training.comm import Communicator
from intent.training.interrupt import Interrupted, StopRequest
from intent.training.logbook import Logbook
from intent.training.meter import Meter
from intent.training.on_device import on_device
from intent.training.run_dir import RunDir
from intent.training.step import (
    adam,
    learned_tasks,
    make_scoring_step,
    make_training_step,
    pick_inputs,
)
from intent.training.validate import put_right, score_feed, summarize

if TYPE_CHECKING:
    from intent.samples.feed import Batch, Feed

log = logging.getLogger(__name__)
LOG_EVERY = 20  # steps; each record gathers from all ranks


def fit(
    model: keras.Model,
    feed: Feed,
    validation: Feed | None,
    config: TrainConfig,
    comm: Communicator,
    run: RunDir,
    log_every: int = LOG_EVERY,
) -> dict[str, Any]:
    """Train `model` to the end of `config.epochs`, from the run's newest checkpoint if it has one.

    Args:
        model: built; inputs and outputs as `intent.models.dipn.build` makes them. Its initial
            weights count on rank 0 only.
        feed: this rank's slice of the training groups.
        validation: this rank's slice of held-out groups, scored after every epoch.
        config: optimizer, number of epochs, checkpoints.
        comm: the other processes, or `Solo()`.
        run: where everything is written, by rank 0.
        log_every: steps between two records in metrics.jsonl.

    Returns on every rank a summary: steps, groups, seconds, loss, AUCs, where the model lies.

    Raises:
        IntentError: a loss or weight that is not finite, data other than the checkpoint's, a feed
            that ends early, ranks whose weights differ.
        Interrupted: SIGINT or SIGTERM; a checkpoint was written.
        PeerLost: another process died or stalled.
    """
    with StopRequest() as request:
        trainer = _Trainer(model, feed, config, comm, run, log_every, request)
        try:
            return trainer.run_to_end(validation)
        finally:
            trainer.logbook.close()


class _Trainer:
    """The state of a run between two steps."""

    def __init__(
        self,
        model: keras.Model,
        feed: Feed,
        config: TrainConfig,
        comm: Communicator,
        run: RunDir,
        log_every: int,
        request: StopRequest,
    ) -> None:
        self.model, self.feed, self.config = model, feed, config
        self.comm, self.run, self.log_every, self.request = comm, run, log_every, request
        self.labels = [task.name for task in feed.schema.tasks]
        self.tasks = learned_tasks(model, self.labels)
        self.columns = [self.labels.index(task) for task in self.tasks]
        self.optimizer = adam(config, model)
        self.variables = [*model.variables, *self.optimizer.variables]
        self.step = make_training_step(
            model, self.optimizer, self.labels, config.task_weights, comm
        )
        self.score = make_scoring_step(model, self.labels)
        self.meter = Meter(self.tasks)
        self.groups = 0  # trained on by all ranks since this start
        self.position = self.first = self._restore()
        self.logbook = Logbook(run, self.position.updates, active=comm.rank == 0)
        comm.broadcast([v.value for v in self.variables])
        self._agree("at the start")

    def run_to_end(self, validation: Feed | None) -> dict[str, Any]:
        """All epochs from the present position, then the model's file and the summary."""
        started, results = time.monotonic(), {}
        for epoch in range(self.position.epoch, self.config.epochs):
            self._epoch(epoch)
            if validation is not None:
                results = self._validate(validation)
                if any(self.comm.gather(bool(self.request.name))):
                    raise Interrupted(self._goodbye())
            if epoch + 1 < self.config.epochs:
                self.position = Position(epoch + 1, 0, self.position.updates)
                self.meter = Meter(self.tasks)
        self._agree("at the end of training")
        if self.comm.rank == 0:
            draft = self.run.model.with_name("draft.keras")  # Keras insists on the suffix
            self.model.save(draft)
            os.replace(draft, self.run.model)
        self.comm.gather(None)  # no rank leaves before the model is there
        seconds = time.monotonic() - started
        return self._summary(seconds) | {"validation": results}

    def _epoch(self, epoch: int) -> None:
        """The rest of `epoch`, then a checkpoint at its end."""
        total, start = self.feed.steps(epoch), self.position.step
        if start >= total:
            return  # the checkpoint was written at the end of the epoch
        title = f"epoch {epoch + 1}/{self.config.epochs}"
        seen, groups = 0, (total - start) * self.config.batch_size
        with progress(title, groups, "groups", visible=self.comm.rank == 0) as bar:
            waited_from = time.monotonic()
            for batch, arrays in on_device(self.feed.batches(epoch, start), self._arrays):
                self._expect(batch, epoch, start + seen)
                waited = time.monotonic() - waited_from
                self._train(batch, arrays, waited, total, bar)
                seen += 1
                waited_from = time.monotonic()
        if start + seen != total:
            raise IntentError(
                f"the feed of epoch {epoch} ended after {start + seen} of {total} steps: "
                "the samples changed or a reader lost rows; build the samples again"
            )

    def _arrays(self, batch: Batch) -> tuple:
        """What the step reads of a batch."""
        return pick_inputs(self.model, batch.inputs), batch.labels, batch.weights

    def _train(self, batch: Batch, arrays: tuple, waited: float, total: int, bar: Bar) -> None:
        """One step, and what is due after it: a record, a checkpoint, the end."""
        began = time.monotonic()
        total_groups = tf.constant(batch.total, tf.float32)
        stop = tf.constant(bool(self.request.name), tf.float32)
        with self.comm.guard():
            loss, stops, scores = self.step(*arrays, total_groups, stop)
        loss, stop = float(loss), float(stops) > 0
        where = Position(batch.epoch, batch.step + 1, self.position.updates + 1)
        if not math.isfinite(loss):
            raise IntentError(
                f"the loss is {loss} at epoch {batch.epoch} step {batch.step}: lower "
                "train.learning_rate; the checkpoints of the run are from before this step"
            )
        self.position = where
        self.groups += batch.total
        labels = batch.labels[:, self.columns]
        self.meter.add(loss, batch.total, scores.numpy(), labels, batch.weights > 0)
        self.meter.add_time(waited, time.monotonic() - began)
        if where.updates == self.first.updates + 1:
            self._agree(f"after step {batch.step} of epoch {batch.epoch}")
        last = where.step == total
        if where.updates % self.log_every == 0 or last:
            record = self.meter.record(self.comm)
            self.logbook.write("step", where.updates, where.epoch, record)
            bar.values.update({n: v for n, v in record.items() if n.startswith("auc")})
            bar.values["waiting for data"] = f"{record['wait_share']:.0%}"
        bar.advance(batch.total, loss=loss)
        if stop or last or where.updates % self.config.checkpoint_every == 0:
            self._save()
        if stop:
            raise Interrupted(self._goodbye())

    def _expect(self, batch: Batch, epoch: int, step: int) -> None:
        if (batch.epoch, batch.step) != (epoch, step):
            raise IntentError(
                f"the feed gave step {batch.step} of epoch {batch.epoch}, expected step {step} of "
                f"epoch {epoch}: the samples changed, or the feed loses or repeats steps"
            )

    def _validate(self, validation: Feed) -> dict[str, float]:
        scores, labels = score_feed(self.model, self.score, validation, self.comm, "validation")
        tasks, seen = validation.schema.tasks, share_seen(self.config)
        results = summarize(put_right(scores, self.tasks, tasks, seen), labels, self.tasks)
        self.logbook.write("validation", self.position.updates, self.position.epoch, results)
        quality = float(np.mean([results[f"auc_{task}"] for task in self.tasks]))
        if self.comm.rank == 0 and math.isfinite(quality):
            path = checkpoint.path_of(self.run.checkpoints, self.position)
            checkpoint.mark_best(self.run.checkpoints, path, quality)
            checkpoint.prune(self.run.checkpoints, self.config.keep_checkpoints, path)
        return results

    def _goodbye(self) -> str:
        by = f" by {self.request.name}" if self.request.name else ""
        path = checkpoint.path_of(self.run.checkpoints, self.position)
        return (
            f"stopped{by} after step {self.position.step} of epoch {self.position.epoch}; {path} "
            "is written: the same command goes on from there"
        )

    def _save(self) -> None:
        """A checkpoint of the present position, by rank 0, once all ranks are known to agree."""
        self._agree(f"after step {self.position.step} of epoch {self.position.epoch}")
        metrics = self.meter.gathered(self.comm)
        if self.comm.rank == 0:
            path = checkpoint.save(
                self.run.checkpoints,
                self.position,
                self.variables,
                metrics,
                manifest_hash=self.run.manifest_hash,
                config_hash=self.run.config_hash,
                seed=self.config.seed,
                feed=self.feed.state(self.position.epoch, self.position.step),
            )
            checkpoint.prune(self.run.checkpoints, self.config.keep_checkpoints, path)

    def _restore(self) -> Position:
        """Rank 0 reads the newest checkpoint; everybody learns where it stands."""
        found = None
        if self.comm.rank == 0:
            found = checkpoint.latest(self.run.checkpoints)
            if found is not None:
                self._fits(found)
                checkpoint.restore(found, self.variables)
                log.info("going on from %s", found.path)
        position, metrics = self.comm.broadcast_object(
            (found.position, found.metrics) if found else (Position(), None)
        )
        if metrics is not None:
            self.meter.restore(metrics, scores=self.comm.rank == 0)
        return position

    def _fits(self, found: checkpoint.Checkpoint) -> None:
        for what, theirs, ours in (
            ("data (manifest", found.manifest_hash, self.run.manifest_hash),
            ("configuration (config", found.config_hash, self.run.config_hash),
        ):
            if theirs != ours:
                raise IntentError(
                    f"checkpoint {found.path} is of other {what} hash {theirs}, now {ours}): go on "
                    "with what it was made with, or give another --run"
                )
        self.feed.resume(found.feed)

    def _agree(self, when: str) -> None:
        if self.comm.size > 1:
            named = [(v.path, np.asarray(v.value)) for v in self.variables]
            check_agreement(named, self.comm, when)

    def _summary(self, seconds: float) -> dict[str, Any]:
        steps = self.position.updates - self.first.updates
        known = checkpoint.best(self.run.checkpoints)
        return {
            "ranks": self.comm.size,
            "epochs": self.config.epochs,
            "steps": steps,
            "updates": self.position.updates,
            "seconds": seconds,
            "loss": self.meter.epoch_loss(),
            "groups": self.groups,
            "groups_per_second": self.groups / max(seconds, 1e-9),
            "best": {"checkpoint": str(known[0]), "auc": known[1]} if known else None,
            "model": str(self.run.model),
        }
