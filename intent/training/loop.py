"""The training loop: the same code for one process, for many, and for a number that changes.

Rank 0 is the coordinator: it opens the run, writes the checkpoints, the metrics and the model, and
shows the progress. Every rank takes its slice of each step of the epoch plan; the slices' gradients
are summed. Whenever ranks meet (at the start, and again when one was lost or joined) everybody
takes the state of the rank that is furthest (`intent.training.handover`) and goes on there.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from intent.config import TrainConfig
from intent.errors import IntentError
from intent.progress import Bar, progress
from intent.samples.undersampling import share_seen
from intent.training import checkpoint, handover, keeper
from intent.training.agreement import check_agreement
from intent.training.checkpoint import Position
from intent.training.comm import Communicator, PeerLost
from intent.training.handover import Standing
from intent.training.interrupt import Interrupted, StopRequest
from intent.training.logbook import Logbook
from intent.training.meter import Meter
from intent.training.on_device import on_device
from intent.training.run_dir import RunDir
from intent.training.schedule import learning_rate
from intent.training.step import adam, learned_tasks, make_scoring_step, make_step, pick_inputs
from intent.training.stopping import mean_auc
from intent.training.summary import expect, goodbye, summary_of
from intent.training.validate import put_right, score_feed, summarize

if TYPE_CHECKING:
    from intent.samples.feed import Batch, Feed

log = logging.getLogger(__name__)
LOG_EVERY = 20  # steps; each record gathers from all ranks


class Regroup(Exception):
    """All ranks are between two steps and want to meet again: somebody joins or leaves."""


def fit(
    model: keras.Model,
    feed: Feed,
    validation: Feed | None,
    config: TrainConfig,
    comm: Communicator,
    run: RunDir,
    log_every: int = LOG_EVERY,
    begin: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Train `model` to the end of `config.epochs`, from the run's newest checkpoint if it has one.

    Args:
        model: built; inputs and outputs as `intent.models.dipn.build` makes them. Its initial
            weights count on rank 0 only.
        feed: the training groups, of any rank.
        validation: held-out groups, of any rank, scored after every epoch.
        config: optimizer, number of epochs, checkpoints.
        comm: the other processes, or `Solo()`. Their number may change if it is `elastic`.
        run: where everything is written, by rank 0.
        log_every: steps between two records in metrics.jsonl.
        begin: called by every new rank 0 before it writes anything; by default it opens the run.

    Returns on every rank a summary: steps, groups, seconds, loss, AUCs, where the model lies, and
    how often ranks met again and how many groups were begun twice because of that.

    Raises:
        IntentError: a loss or weight that is not finite, data other than the checkpoint's, a feed
            that ends early, ranks whose weights differ.
        Interrupted: SIGINT or SIGTERM; a checkpoint was written.
        PeerLost: another process died or stalled, and there is no going on without it.
    """
    begin = begin or run.open
    with StopRequest() as request:
        trainer = _Trainer(model, feed, validation, config, comm, run, log_every, request, begin)
        try:
            return trainer.run_to_end()
        finally:
            trainer.logbook.close()


class _Trainer:
    """The state of a run between two steps."""

    def __init__(
        self,
        model: keras.Model,
        feed: Feed,
        validation: Feed | None,
        config: TrainConfig,
        comm: Communicator,
        run: RunDir,
        log_every: int,
        request: StopRequest,
        begin: Callable[[], object],
    ) -> None:
        self.model, self.feed, self.validation, self.config = model, feed, validation, config
        self.comm, self.run, self.log_every, self.request = comm, run, log_every, request
        self.begin = begin
        self.tasks = learned_tasks(model, [task.name for task in feed.schema.tasks])
        self.optimizer = adam(config, model)
        self.variables = [*model.variables, *self.optimizer.variables]
        labels = [task.name for task in feed.schema.tasks]
        self.step = make_step(model, self.optimizer, labels, config, comm, feed.schema.length)
        self.score = make_scoring_step(model, labels)
        self.meter = Meter(self.tasks)
        self.standing = Standing()
        self.unchecked = True  # the weights, since ranks have met
        self.reduced = 0.0  # seconds, in the step before
        self.steps_total = 0  # of all epochs; nothing but the cosine asks for it
        if config.decay != "none":
            self.steps_total = sum(feed.steps(epoch) for epoch in range(config.epochs))
        self.kept: dict[str, Any] = {}  # which weights the model's file has
        self.logbook = Logbook(run, 0, active=False)

    @property
    def position(self) -> Position:
        """The next step."""
        return self.standing.position

    def run_to_end(self) -> dict[str, Any]:
        """Meet and train, as often as it takes."""
        started, told = time.monotonic(), []
        while True:
            try:
                self._meet(told)
                results = self._epochs()
                self._finish()
                seconds, loss = time.monotonic() - started, self.meter.epoch_loss()
                summary = summary_of(self.run, self.standing, self.comm.size, seconds)
                return summary | self.kept | {"loss": loss, "validation": results}
            except (PeerLost, Regroup):
                if not self.comm.elastic:
                    raise
            told = self.comm.renew()

    def _meet(self, told: list[str]) -> None:
        """Everybody takes the state of the rank that is furthest, and its slice of the feeds."""
        self.logbook.close()
        self.standing = handover.meet(
            self.standing, self.variables, self.meter, self.comm, self._begin
        )
        self.feed = self.feed.of_rank(self.comm.rank, self.comm.size)
        if self.validation is not None:
            self.validation = self.validation.of_rank(self.comm.rank, self.comm.size)
        first, where = self.comm.rank == 0, self.position
        self.logbook = Logbook(self.run, where.updates, first, validated=where.step == 0)
        self.logbook.catch_up(self.standing.record)
        if told:
            news = {"ranks": self.comm.size, "told": told, "repeated": self.standing.repeated}
            self.logbook.write("membership", self.position.updates, self.position.epoch, news)
        self._agree("when the ranks met")
        self.unchecked = True
        self.comm.report(self.position.updates)

    def _begin(self, standing: Standing) -> checkpoint.Checkpoint | None:
        """Rank 0 opens the run; the newest checkpoint, where nobody has a state yet."""
        self.comm.at_work()
        self.begin()
        self.comm.at_work()
        if standing.holds:
            checkpoint.write_best(self.run.checkpoints, standing.choice)
            return None
        found = keeper.resume(self.run)
        if found is not None:
            self.feed.resume(found.feed)
        return found

    def _epochs(self) -> dict[str, float]:
        """All epochs from the present position; the last validation's results."""
        results: dict[str, float] = {}
        for epoch in range(self.position.epoch, self.config.epochs):
            self._epoch(epoch)
            if self.validation is not None:
                results = self._validate(self.validation)
                if any(self.comm.gather(self._stop_wanted())):
                    raise Interrupted(goodbye(self.run, self.position, self._who()))
                if self.standing.choice.stops(self.config):
                    log.info("no improvement in %d validations: enough", self.config.patience)
                    break
            if epoch + 1 < self.config.epochs:
                self.standing.position = Position(epoch + 1, 0, self.position.updates)
                self.meter = Meter(self.tasks)
        return results

    def _finish(self) -> None:
        self._agree("at the end of training")
        if self._may_write():
            self.kept = keeper.finish(self.run, self.model, self.variables)
        self.kept = self.comm.broadcast_object(self.kept)  # nobody leaves before the model is there
        self.comm.finish()
        self.logbook.finish()

    def _epoch(self, epoch: int) -> None:
        """The rest of `epoch`, then a checkpoint at its end."""
        total, start = self.feed.steps(epoch), self.position.step
        if start >= total:
            if self.standing.saved != self.position:  # who was to write the checkpoint was lost
                self._save()
            return
        title = f"epoch {epoch + 1}/{self.config.epochs}"
        seen, groups = 0, (total - start) * self.config.batch_size
        batches = on_device(self.feed.batches(epoch, start), self._arrays)
        with (
            progress(title, groups, "groups", visible=self.comm.rank == 0) as bar,
            closing(batches),
        ):
            waited_from = time.monotonic()
            for batch, arrays in batches:
                expect(batch, epoch, start + seen)
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
        mine = [self._stop_wanted(), self.comm.changed(), waited, self.reduced]
        self.standing.in_flight = batch.total
        rate = learning_rate(self.config, self.position.updates, self.steps_total)
        done = self.step(*arrays, batch.total, rate, np.array(mine, np.float32))
        where = Position(batch.epoch, batch.step + 1, self.position.updates + 1)
        self.standing.did(where, batch.total)
        if not math.isfinite(done.loss):
            raise IntentError(
                f"the loss is {done.loss} at epoch {batch.epoch} step {batch.step}: lower "
                "train.learning_rate; the checkpoints of the run are from before this step"
            )
        self.meter.add(done.loss, batch.total, done.counts)
        stop, change, all_waited, all_reduced = done.flags_F
        elapsed = waited + time.monotonic() - began
        sums = elapsed, all_waited / self.comm.size, all_reduced / self.comm.size
        self.meter.add_time(*sums, done.bytes_sent)
        self.reduced = done.reducing_s
        self.comm.report(where.updates)
        last = where.step == total
        if where.updates % self.log_every == 0 or last:
            record = self.meter.record() | {"learning_rate": rate}
            self.standing.record = ("step", where.updates, where.epoch, record)
            self.logbook.write(*self.standing.record)
            self._show(bar, record)
        bar.advance(batch.total, loss=done.loss)
        if self.unchecked:
            self._agree(f"after step {batch.step} of epoch {batch.epoch}")
            self.unchecked = False
        if stop or last or where.updates % self.config.checkpoint_every == 0:
            self._save()
        if stop:
            raise Interrupted(goodbye(self.run, self.position, self._who()))
        if change:
            raise Regroup

    def _show(self, bar: Bar, record: dict[str, float]) -> None:
        """The figures beside the bar."""
        bar.values.update({n: v for n, v in record.items() if n.startswith("auc")})
        bar.values["waiting for data"] = f"{record['wait_share']:.0%}"
        if "bytes_a_step" in record:
            bar.values["reducing"] = f"{record['reduce_share']:.0%}"

    def _who(self) -> str:
        """Who wanted training to stop."""
        return self.request.name or self.comm.asked_to_stop()

    def _stop_wanted(self) -> bool:
        """Whether this rank wants all to stop: a signal to one of elastic ranks is for it alone."""
        if self.comm.asked_to_stop():
            return True
        return bool(self.request.name) and not self.comm.leave()

    def _validate(self, validation: Feed) -> dict[str, float]:
        scores, labels = score_feed(self.model, self.score, validation, self.comm, "validation")
        tasks, seen = validation.schema.tasks, share_seen(self.config)
        results = summarize(put_right(scores, self.tasks, tasks, seen), labels, self.tasks)
        self.logbook.write("validation", self.position.updates, self.position.epoch, results)
        quality = mean_auc(results, self.tasks)
        choice = self.standing.choice.seen(quality, self.position.updates, self.config)
        self.standing.choice = self.comm.broadcast_object(choice)
        if self._may_write():
            keeper.validated(self.run, self.position, self.standing.choice)
        return results

    def _save(self) -> None:
        """A checkpoint of the present position, by rank 0, once all ranks are known to agree."""
        self._agree(f"after step {self.position.step} of epoch {self.position.epoch}")
        if self._may_write():
            feed = self.feed.state(self.position.epoch, self.position.step)
            keeper.save(
                self.run,
                self.position,
                self.variables,
                self.meter.state(),
                feed,
                self.standing.choice,
            )
        self.standing.saved = self.position

    def _may_write(self) -> bool:
        """Whether this rank is the one that writes, and still counts as it."""
        with self.comm.guard():  # PeerLost, should it have been replaced
            self.comm.at_work()
        return self.comm.rank == 0

    def _agree(self, when: str) -> None:
        if self.comm.size > 1:
            named = [(v.path, np.asarray(v.value)) for v in self.variables]
            check_agreement(named, self.comm, when)
