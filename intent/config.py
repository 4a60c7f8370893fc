"""The configuration of a run: typed, validated, from YAML with `--set key=value` on top."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from intent.errors import UsageError


class Section(BaseModel):
    """A part of the configuration; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class SamplesConfig(Section):
    """How raw logs become sample groups (section 3 and 6.1 of the paper)."""

    length: PositiveInt = Field(256, description="actions in a window (the paper: 256)")
    cuts_per_day: PositiveInt = Field(
        30, description="cuts drawn per user and day at most (the paper: about 400 in 14 days)"
    )
    seed: int = Field(0, description="of the generator that draws the cuts")
    max_quarantine_share: float = Field(
        0.05, ge=0, le=1, description="share of unusable rows beyond which the job fails"
    )
    groups_per_row_group: PositiveInt = Field(
        4096, description="sample groups in one Parquet row group, the unit of reading"
    )
    first_day: date | None = Field(
        None, description="YYYY-MM-DD, first day that gets groups (default: of the logs)"
    )
    last_day: date | None = Field(None, description="YYYY-MM-DD, last day that gets groups")
    drop_duplicates: bool = Field(True, description="of exact copies of a row, keep one")
    late_after_minutes: PositiveFloat | None = Field(
        None, description="drop events received so long after they happened (column `received`)"
    )
    out_of_order: Literal["sort", "drop"] = Field(
        "sort", description="events received after a later one of the same user and table"
    )
    bot_actions_per_minute: PositiveFloat | None = Field(
        200,
        description="who acts faster for an hour is a bot, and its rows are dropped; null: nobody",
    )
    bot_regularity: PositiveFloat | None = Field(
        0.3,
        description="whose gaps are more alike is a bot: (d9 - d1) / (d9 + d1) of their deciles",
    )
    bot_least_actions: PositiveInt = Field(
        100, description="actions below which nobody is called a bot"
    )
    session_gap_minutes: PositiveFloat | None = Field(
        None, description="a pause so long ends a session, and windows reach back no further"
    )
    min_actions: PositiveInt = Field(
        1, description="a cut that sees fewer actions, all views together, is dropped"
    )
    negative_rate: float = Field(
        1.0, gt=0, le=1, description="share that is kept of cuts without any positive label"
    )
    exclude: list[str] = Field(
        [], description="actions that windows do not show: view.feature=name, tap.button=Button_Pay"
    )

    def of_groups(self) -> dict:
        """The settings that a group depends on, for the manifest: those of the run are left out."""
        run = {"length", "first_day", "last_day", "max_quarantine_share", "exclude"}
        found = self.model_dump(mode="json", exclude=run)
        # Only where there is any, so that datasets that hide nothing say what they always said.
        return found | ({"exclude": sorted(set(self.exclude))} if self.exclude else {})


class ModelConfig(Section):
    """The model: DIPN's sizes and variants (section 4; Tables 4 to 6), or a baseline."""

    kind: Literal["dipn", "rnn_dnn", "lstm", "cnn", "gbdt", "gbdt_touch", "logistic"] = Field(
        "dipn", description="DIPN, or a baseline of docs/baselines.md"
    )
    hidden: PositiveInt = Field(32, description="d, the state of one GRU direction (6.1)")
    action_width: PositiveInt = Field(32, description="FC after an action's embeddings (4.1)")
    context_width: PositiveInt = Field(32, description="FC after history and profile embeddings")
    position_width: PositiveInt | None = Field(
        4, description="numbers that a position of an r keeps when it is laid flat (null: all)"
    )
    branch_units: list[PositiveInt] = Field([64], description="hidden FC layers of a task (4.4)")
    reset_after: bool = Field(True, description="cuDNN's GRU; false is the paper's equation (1)")
    early_fusion: bool = Field(False, description="one Bi-GRU over all views merged by time")
    attention: bool = Field(True, description="attention of both levels; false: neither")
    intra_view: bool = Field(True, description="equations (2) and (3)")
    attention_scale: Literal["none", "length"] = Field(
        "none", description="v of (3) as in the paper, or times the number of real actions"
    )
    inter_view: bool = Field(True, description="equation (4)")
    sources: list[str] | None = Field(
        None, description="views, history, profile (default: all; of a baseline those of its kind)"
    )
    tasks: list[str] | None = Field(None, description="tasks to learn (default: all)")
    rounds: PositiveInt = Field(2000, description="of boosting at most (gbdt, gbdt_touch)")
    leaves: int = Field(15, ge=2, description="of a tree of boosting at most")
    shrinkage: PositiveFloat = Field(0.05, le=1, description="the learning rate of boosting")


class TrainConfig(Section):
    """The optimizer's settings (section 6.1) and what a run does with the data."""

    epochs: PositiveInt = 1
    batch_size: PositiveInt = Field(256, description="groups a step over all ranks together")
    learning_rate: PositiveFloat = Field(1e-3, description="for a batch of reference_batch groups")
    scale_learning_rate: Literal["none", "linear", "sqrt"] = Field(
        "none", description="with batch_size / reference_batch, or with the root of it"
    )
    reference_batch: PositiveInt = Field(256, description="batch that learning_rate is meant for")
    warmup_steps: NonNegativeInt = Field(0, description="updates in which the rate rises")
    decay: Literal["none", "cosine"] = Field("none", description="of the rate after the warm-up")
    beta_1: float = Field(0.9, ge=0, lt=1)
    beta_2: float = Field(0.999, ge=0, lt=1)
    epsilon: PositiveFloat = 1e-7
    seed: int = Field(0, description="of the initial weights and of the epoch plan")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of products; bfloat16 keeps weights and sums in float32"
    )
    task_weights: dict[str, float] = Field({}, description="weight of a task's loss (default 1)")
    shuffle_pool: PositiveInt = Field(
        65_536, description="groups among which the order is drawn; tracks of so many are in memory"
    )
    bucket_lengths: bool = Field(
        False, description="batches of windows of like length, cut to the longest of each batch"
    )
    negative_rate: float = Field(
        1.0, gt=0, le=1, description="share of the groups without any positive label in an epoch"
    )
    weigh_negatives: bool = Field(
        False, description="negatives that are left count for those left out, in the loss"
    )
    evaluation_days: PositiveInt = Field(1, description="last days of the data, never trained on")
    purge: bool = Field(
        False, description="leave out training days whose horizon reaches into evaluation"
    )
    validation_days: NonNegativeInt = Field(
        0, description="days before those, not trained on: what is chosen, is chosen by them"
    )
    patience: PositiveInt | None = Field(
        None, description="validations without an improvement after which training ends; null: all"
    )
    min_improvement: float = Field(
        0.0, ge=0, description="of the mean AUC, more than which counts as an improvement"
    )
    keep_best: bool = Field(
        True, description="the model is the best checkpoint's (with validation_days), not the last"
    )
    max_groups: PositiveInt | None = Field(None, description="groups of an epoch at most")
    checkpoint_every: PositiveInt = Field(500, description="steps between two checkpoints")
    keep_checkpoints: PositiveInt = Field(3, description="last checkpoints that are kept")
    micro_batches: PositiveInt = Field(
        1, description="pieces in which a rank computes its share of a step, to save memory"
    )
    clip_norm: PositiveFloat | None = Field(
        None, description="the global norm of the step's gradients at most"
    )
    compression: Literal["none", "float16", "bfloat16"] = Field(
        "none", description="of gradients between ranks; sums are in float32"
    )
    sparse_embeddings: Literal["auto", "always", "never"] = Field(
        "auto",
        description="of large tables, reduce only the rows that a step touches; auto: of tables "
        "with more rows than a step has actions",
    )
    random_labels: bool = Field(
        False, description="control: train on labels drawn by lot; the AUC must fall to chance"
    )
    reversed_labels: bool = Field(
        False,
        description="control: train on the labels of other moments, back to front; the same",
    )
    mlflow: str | None = Field(None, description="URL of an MLflow tracking server to report to")
    mlflow_experiment: str = Field("intent", description="the experiment there")


class IntentConfig(Section):
    """Everything that can be set."""

    samples: SamplesConfig = Field(default_factory=SamplesConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)


def load_config(file: str | Path | None = None, overrides: Iterable[str] = ()) -> IntentConfig:
    """Read `file` (YAML, may be None), then apply `overrides` such as "train.batch_size=512".

    Raises UsageError that names the key, where it stood and the nearest valid name.
    """
    data: dict[str, Any] = {}
    if file is not None:
        try:
            data = yaml.safe_load(Path(file).read_text()) or {}
        except OSError as error:
            raise UsageError(f"cannot read the configuration {file}: {error.strerror}") from error
        except (yaml.YAMLError, ValueError) as error:
            raise UsageError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(data, dict):
            raise UsageError(f"{file}: expected sections such as 'train:', got {data!r}")
    given_by_set = set()
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise UsageError(f"--set takes key=value, such as train.epochs=3; got {override!r}")
        try:
            parsed = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: a day that no month has
            told = " ".join(str(error).split())
            raise UsageError(f"--set {override}: {value!r} cannot be read ({told})") from error
        _put(data, key.split("."), parsed, override)
        given_by_set.add(key)
    try:
        return IntentConfig.model_validate(data)
    except ValidationError as error:
        raise UsageError(_explain(error, file, given_by_set)) from None


def _put(data: dict[str, Any], path: list[str], value: Any, override: str) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise UsageError(f"--set {override}: {part!r} is a value, not a section")
    data[path[-1]] = value


def _explain(error: ValidationError, file: str | Path | None, given_by_set: set[str]) -> str:
    """The first problem of a validation error, in one line."""
    problem = error.errors()[0]
    names = [str(part) for part in problem["loc"]]
    key = ".".join(names)
    place = "--set" if any(key.startswith(k) or k.startswith(key) for k in given_by_set) else file
    if problem["type"] == "extra_forbidden":
        section: type[BaseModel] = IntentConfig
        for name in names[:-1]:
            section = section.model_fields[name].annotation  # type: ignore[assignment]
        valid = list(section.model_fields)
        near = difflib.get_close_matches(names[-1], valid, n=1, cutoff=0.4)
        where = f" in {'.'.join(names[:-1])}" if names[:-1] else ""
        hint = f"did you mean {near[0]!r}?" if near else f"valid names{where}: {', '.join(valid)}"
        return f"unknown configuration key {key!r} ({place}): {hint}"
    told = f"configuration key {key!r} ({place}): {problem['msg']}; got {problem['input']!r}"
    if problem["type"] in ("list_type", "tuple_type"):
        told += f". A list stands in brackets, in quotes on a shell: --set '{key}=[one, another]'"
    return told


def dump_config(config: IntentConfig) -> str:
    """The fully resolved configuration as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def with_values(config: IntentConfig, values: Mapping[str, Any], place: str) -> IntentConfig:
    """`config` with {"train.learning_rate": 0.01, ...} set; UsageError as of `load_config`.

    `place` is the file or flag that the values are from.
    """
    data = config.model_dump(mode="json")
    for key, value in values.items():
        _put(data, key.split("."), value, f"{key}={value!r}")
    try:
        return IntentConfig.model_validate(data)
    except ValidationError as error:
        raise UsageError(_explain(error, place, set())) from None
