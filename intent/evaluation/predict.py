"""Scores of every group of a feed, with what an evaluation needs to know of each group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from intent.errors import IntentError
from intent.evaluation.facts import facts_of
from intent.progress import progress
from intent.samples.undersampling import check_correctable, recalibrate
from intent.samples.undersampling import weights as weights_of

if TYPE_CHECKING:
    import keras

    from intent.baselines.session_model import SessionModel
    from intent.samples.feed import Batch, Feed

FACT = "slice_"  # how the columns of facts begin


@dataclass(frozen=True)
class Predictions:
    """Scores of n groups.

    Attributes:
        scores: task -> probabilities [n].
        labels: [n, tasks] in the order of `scores`.
        users: [n]; times: [n] epoch ms of the cuts.
        weights: [n] how many cuts each group stands for: more than one for a negative of samples
            that kept only a share of them.
        facts: name -> integers [n], what figures by slice need to know of each group, see
            `facts.facts_of`; may be empty.
    """

    scores: dict[str, np.ndarray]
    labels: np.ndarray
    users: np.ndarray
    times: np.ndarray
    weights: np.ndarray
    facts: dict[str, np.ndarray] = field(default_factory=dict)

    def where(self, index: np.ndarray) -> Predictions:
        """Some of the groups, or all in another order: positions or a mask."""
        return Predictions(
            scores={task: p[index] for task, p in self.scores.items()},
            labels=self.labels[index],
            users=self.users[index],
            times=self.times[index],
            weights=self.weights[index],
            facts={name: values[index] for name, values in self.facts.items()},
        )

    def save(self, path: Path) -> None:
        """Write a Parquet file: user_id, time, weight, label_<task> and <task> for each task, and
        slice_<fact> for each fact."""
        users = pa.array(self.users.tolist(), pa.string())
        columns = {"user_id": users, "time": self.times, "weight": self.weights}
        for i, (task, values) in enumerate(self.scores.items()):
            columns |= {f"label_{task}": self.labels[:, i], task: values}
        columns |= {FACT + name: values for name, values in self.facts.items()}
        temporary = path.with_name(f".{path.name}")
        pq.write_table(pa.table(columns), temporary)
        temporary.replace(path)

    @staticmethod
    def load(path: Path) -> Predictions:
        """The inverse of `save`; IntentError where there is no such file."""
        if not path.exists():
            raise IntentError(
                f"there is no {path}: intent evaluate --run {path.parent} --samples SAMPLES writes "
                "it, for a run whose training has ended"
            )
        table = pq.read_table(path)
        names = table.column_names
        tasks = [n.removeprefix("label_") for n in names if n.startswith("label_")]
        facts = [n.removeprefix(FACT) for n in names if n.startswith(FACT)]
        return Predictions(
            scores={task: table[task].to_numpy() for task in tasks},
            labels=np.stack([table[f"label_{task}"].to_numpy() for task in tasks], axis=1),
            users=table["user_id"].to_numpy(),
            times=table["time"].to_numpy(),
            weights=table["weight"].to_numpy(),
            facts={name: table[FACT + name].to_numpy() for name in facts},
        )


def predict(
    model: keras.Model | SessionModel,
    feed: Feed,
    learnt_rate: float = 1.0,
    kept_rate: float = 1.0,
    score: Callable | None = None,
) -> Predictions:
    """Score all groups of the feed's epoch 0 in this process.

    Args:
        model: whose tasks are some of the feed's; a network, or a model of session features.
        feed: with all tasks of its samples, and for a model of session features with action times.
        learnt_rate: share of the negatives in the samples that the model was trained on; the
            scores are put right for it.
        kept_rate: share of the negatives in the feed's samples; the weights are its inverse.
        score: of `make_scoring_step` for this model and all tasks of the feed, where it has been
            compiled already.

    Raises IntentError where the feed gave fewer groups than it had announced, and where the scores
    cannot be put right.
    """
    from intent.baselines.session_model import SessionModel

    labels = [task.name for task in feed.schema.tasks]
    counted = isinstance(model, SessionModel)
    tasks, scored = _by_counts(model, feed) if counted else _by_network(model, feed, labels, score)
    check_correctable(tasks, feed.schema.tasks, learnt_rate)  # before the long work
    parts, announced = [], 0
    with progress("scoring", feed.steps(0), "steps") as bar:
        for batch, probabilities in scored:
            real = batch.weights > 0
            facts = {n: v[real] for n, v in facts_of(batch.inputs, feed.schema).items()}
            rows = (probabilities, batch.labels[real], batch.users[real], batch.times[real])
            parts.append((rows, facts))
            announced += batch.total
            bar.advance()
    if not parts:
        raise IntentError("the samples have no groups on the days to evaluate")
    rows, facts = zip(*parts, strict=True)
    p, y, users, times = (np.concatenate(part) for part in zip(*rows, strict=True))
    facts = {name: np.concatenate([of[name] for of in facts]) for name in facts[0]}
    if len(p) != announced:
        raise IntentError(f"{len(p)} groups were scored of {announced}; check the samples")
    columns = [labels.index(task) for task in tasks]
    scores = {task: p[:, i].astype(np.float64) for i, task in enumerate(tasks)}
    scores = recalibrate(scores, feed.schema.tasks, learnt_rate)
    return Predictions(scores, y[:, columns], users, times, weights_of(y, kept_rate), facts)


def _by_network(
    model: keras.Model, feed: Feed, labels: list[str], given: Callable | None
) -> tuple[list[str], Iterator]:
    """The tasks, and each batch with the probabilities [real rows, T] that a network gives."""
    from intent.training.on_device import on_device
    from intent.training.step import learned_tasks, make_scoring_step, pick_inputs

    def scored() -> Iterator[tuple[Batch, np.ndarray]]:
        score = given or make_scoring_step(model, labels)
        take = on_device(feed.batches(0), lambda batch: (pick_inputs(model, batch.inputs),))
        for batch, (inputs,) in take:
            yield batch, np.asarray(score(inputs))[batch.weights > 0]

    return learned_tasks(model, labels), scored()


def _by_counts(model: SessionModel, feed: Feed) -> tuple[list[str], Iterator]:
    """The same of a model of session features."""
    from intent.baselines.table import features_of

    def scored() -> Iterator[tuple[Batch, np.ndarray]]:
        for batch, made in features_of(feed):
            # The feed may have sources that the model was not fitted to.
            places = [made.names.index(name) for name in model.names if name in made.names]
            names = tuple(made.names[i] for i in places)
            yield batch, model.probabilities(made.values[:, places], names)

    return model.tasks, scored()
