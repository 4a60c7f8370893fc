"""Why a group got its score: what each part of its input did to it, and what the model attends to.

The effect of a part is the group's score minus its score without that part, in probability: above 0
where the part raised the score. Scores are those of `intent evaluate`.

Letters: B variants of the group, T tasks that the model has learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intent.config import ModelConfig
from intent.evaluation import occlusion
from intent.evaluation.attention import Attention, attention_of
from intent.evaluation.explain_words import phrase
from intent.evaluation.occlusion import Group, Trial
from intent.evaluation.pairs import links, pair_effects
from intent.evaluation.recalibration import Recalibration
from intent.features.vocabulary import Dictionaries
from intent.samples.peek_words import describe_group, meaning
from intent.samples.undersampling import check_correctable, recalibrate
from intent.samples.units import Unit
from intent.schema import Schema, Task

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Explanation:
    """One group's score, explained.

    Attributes:
        told: all of it as JSON can say it, see `explain`.
        attention: of the group, a batch of one; padding may be cut off.
        schema: the sources that the model takes, with all tasks of the samples.
    """

    told: dict
    attention: Attention
    schema: Schema


def explain(
    model: keras.Model,
    unit: Unit,
    index: int,
    dictionaries: Dictionaries,
    config: ModelConfig,
    learnt_rate: float = 1.0,
    recalibration: Recalibration | None = None,
) -> Explanation:
    """Explain the score of one group.

    Args:
        model: trained on samples of the unit's schema with `config`.
        unit, index: the group, see `intent.samples.peek.group_at`.
        learnt_rate: share of the negatives that the model learnt from; scores are put right for it.
        recalibration: of the run, if it has one; scores are put right by it too.

    Returns: `told` is what `peek_words.describe_group` says of the sources that the model takes,
        and
        tasks: task that the model has learnt -> horizon in ms;
        scores, nothing: task -> the group's score, and that of a user of whom nothing is known;
        parts: [{"part", "source", "name", "count", "effect": {task: difference}}], where "part" is
            as in `occlusion.Trial`;
        pairs: [{"views": [v, u], "effect", "links"}], see `intent.evaluation.pairs`; empty without
            inter-view attention;
        views: each action also has "index" in its window, "text", "effect", and "attention", which
            is a of equation (2), or None where the model has none for it.
    """
    from intent.models.sources import reduce_schema
    from intent.training.step import pick_inputs

    every = unit.schema.tasks
    unit = occlusion.reduced(unit, reduce_schema(unit.schema, config))
    group = occlusion.group_of(unit, index, config.early_fusion)
    score = _Scorer(model, every, learnt_rate, recalibration)
    trials = occlusion.trials(group)
    inputs = occlusion.variants(group, [{}, *(trial.gone for trial in trials)])
    inputs = occlusion.without_padding(inputs, group.schema)
    inputs = pick_inputs(model, inputs)
    whole, *without = score(model, inputs)
    one = {name: ids[:1] for name, ids in inputs.items()}
    attention = attention_of(model, one)
    of_pairs = pair_effects(model, one, attention, score)

    told = describe_group(unit, index, dictionaries, 0, [v.name for v in group.schema.views])
    effects = [score.named(whole - p) for p in without]
    told["tasks"] = {t.name: t.horizon_ms for t in every if t.name in score.tasks}
    told["scores"] = score.named(whole)
    told["nothing"] = score.named(without[[t.part for t in trials].index("everything")])
    told["parts"] = _parts(group, trials, effects, dictionaries)
    of_action = {(t.source, t.name): e for t, e in zip(trials, effects, strict=True)}
    for view, actions in told["views"].items():
        weights = _weights(group.schema, inputs, attention, view)
        for i, action in enumerate(actions):
            action |= {"index": i, "text": phrase(view, action), "effect": of_action[view, i]}
            action["attention"] = weights[i] if weights else None
    told["pairs"] = [
        {
            "views": list(pair),
            "effect": score.named(effect),
            "links": links(pair, told["lengths"], attention),
        }
        for pair, effect in zip(attention.inter, of_pairs, strict=True)
    ]
    return Explanation(told, attention, unit.schema)


class _Scorer:
    """Probabilities of the real world, [B, T] float64, by a model with the tasks of `model`."""

    def __init__(
        self,
        model: keras.Model,
        tasks: Sequence[Task],
        learnt_rate: float,
        recalibration: Recalibration | None,
    ) -> None:
        from intent.training.step import learned_tasks

        self.every, self.rate, self.recalibration = tasks, learnt_rate, recalibration
        self.tasks = learned_tasks(model, [task.name for task in tasks])
        check_correctable(self.tasks, tasks, learnt_rate)

    def __call__(self, model: keras.Model, inputs: Any) -> np.ndarray:
        from intent.training.step import make_scoring_step

        score = make_scoring_step(model, [task.name for task in self.every])
        p = occlusion.score_in_parts(score, inputs).astype(np.float64)
        right = recalibrate(dict(zip(self.tasks, p.T, strict=True)), self.every, self.rate)
        if self.recalibration is not None:
            right = self.recalibration.apply(right)
        return np.stack([right[task] for task in self.tasks], axis=1)

    def named(self, values: np.ndarray) -> dict[str, float]:
        """[T] by task."""
        return dict(zip(self.tasks, values.tolist(), strict=True))


def _parts(
    group: Group, trials: Sequence[Trial], effects: Sequence[dict], dictionaries: Dictionaries
) -> list[dict]:
    """What was taken out that is neither one action nor everything, with the kinds' names."""
    parts = []
    for trial, effect in zip(trials, effects, strict=True):
        if trial.part in ("action", "everything"):
            continue
        part = {"part": trial.part, "source": trial.source, "name": trial.name}
        if trial.part == "kind":
            view = group.schema.view(trial.source)
            marker = view.features[view.marker_column]
            part["name"] = meaning(view, marker, int(trial.name), dictionaries)
        parts.append(part | {"count": trial.count, "effect": effect})
    return parts


def _weights(
    schema: Schema, inputs: Mapping[str, np.ndarray], attention: Attention, view: str
) -> list[float | None] | None:
    """a of equation (2) of a view's actions; None for one that early fusion left out."""
    if "fusion" not in attention.intra:
        return attention.intra[view][0].tolist() if view in attention.intra else None
    first = 1 + schema.length * [v.name for v in schema.views].index(view)
    order = inputs["fusion"][0].tolist()
    of_source = dict(zip(order, attention.intra["fusion"][0].tolist(), strict=True))
    return [of_source.get(first + i) for i in range(schema.length)]
