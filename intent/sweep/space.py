"""What a sweep tries: a distribution for each field, from YAML, and trial after trial from a seed.

    train.learning_rate: {loguniform: [1e-4, 1e-2]}
    model.hidden: {choice: [16, 32, 64]}
    train.beta_2: {uniform: [0.9, 0.999]}
    train.warmup_steps: {randint: [0, 200]}
    model.attention: {grid: [true, false]}

What trial n gets in a field depends on the seed, n and the field's name alone: more trials, or one
more field, change nothing of the others. The same holds on another machine and in another order.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar
from zlib import crc32

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from intent.config import IntentConfig, with_values
from intent.errors import UsageError

DIGITS = 6  # significant ones of a real number that is drawn: it can be read and typed
SECTIONS = ("model", "train")
# Trials must be alike in these, or their scores would not be comparable.
NOT_SWEPT = {
    "train.epochs": "--max-epochs says how long a trial may go on",
    "train.validation_days": "all trials are compared on the same days",
    "train.evaluation_days": "all trials are compared on the same days",
    "train.purge": "all trials are compared on the same days",
    "train.keep_best": "all trials are scored in the same way",
    "model.tasks": "all trials are compared by the same tasks",
}


class Distribution(BaseModel):
    """What may come out for one field."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    log: ClassVar[bool] = False

    def draw(self, rng: np.random.Generator) -> Any:
        """One value."""
        raise NotImplementedError

    def extremes(self) -> list[Any]:
        """Values that must be valid if all are: the ends, or every choice."""
        raise NotImplementedError


class Choice(Distribution):
    """One of some values, each as likely as another."""

    choice: Annotated[list[Any], Field(min_length=1)]

    def draw(self, rng: np.random.Generator) -> Any:
        return self.choice[int(rng.integers(len(self.choice)))]

    def extremes(self) -> list[Any]:
        return list(self.choice)


class Grid(Distribution):
    """Each of some values in turn, with every combination of the other grids."""

    grid: Annotated[list[Any], Field(min_length=1)]

    def extremes(self) -> list[Any]:
        return list(self.grid)


class Uniform(Distribution):
    """A real number from low to high."""

    uniform: tuple[float, float]

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        return _check_order(self, *self.uniform)

    def draw(self, rng: np.random.Generator) -> float:
        low, high = self.uniform
        return _rounded(rng.uniform(low, high), low, high)

    def extremes(self) -> list[Any]:
        return list(self.uniform)


class LogUniform(Distribution):
    """A real number whose logarithm is uniform: as often in 1e-4..1e-3 as in 1e-3..1e-2."""

    log: ClassVar[bool] = True
    loguniform: tuple[float, float]

    @model_validator(mode="after")
    def _ordered(self) -> LogUniform:
        if self.loguniform[0] <= 0:
            raise ValueError(f"the lower end must be above 0, got {self.loguniform[0]:g}")
        return _check_order(self, *self.loguniform)

    def draw(self, rng: np.random.Generator) -> float:
        low, high = self.loguniform
        return _rounded(math.exp(rng.uniform(math.log(low), math.log(high))), low, high)

    def extremes(self) -> list[Any]:
        return list(self.loguniform)


class RandInt(Distribution):
    """A whole number from low to high, both included."""

    randint: tuple[int, int]

    @model_validator(mode="after")
    def _ordered(self) -> RandInt:
        return _check_order(self, *self.randint)

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.randint[0], self.randint[1], endpoint=True))

    def extremes(self) -> list[Any]:
        return list(self.randint)


KINDS: dict[str, type[Distribution]] = {
    "choice": Choice,
    "grid": Grid,
    "uniform": Uniform,
    "loguniform": LogUniform,
    "randint": RandInt,
}
Space = Mapping[str, Distribution]  # "train.learning_rate" -> what may come out


def read_space(file: str | Path) -> Space:
    """The search space of a YAML file, keys with dots or in sections.

    Raises UsageError that names the key, what is wrong with it and the nearest valid name.
    """
    try:
        data = yaml.safe_load(Path(file).read_text())
    except OSError as error:
        raise UsageError(f"cannot read the search space {file}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or not data:
        raise UsageError(
            f"{file}: expected fields such as 'train.learning_rate: {{loguniform: [1e-4, 1e-2]}}', "
            f"got {data!r}"
        )
    return parse_space(data, str(file))


def parse_space(data: Mapping[str, Any], place: str) -> Space:
    """The search space of what YAML gave; `place` is its name in errors."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if key in SECTIONS and isinstance(value, dict):
            flat |= {f"{key}.{name}": spec for name, spec in value.items()}
        else:
            flat[str(key)] = value
    return {key: _distribution(key, spec, place) for key, spec in flat.items()}


def size_of_grid(space: Space) -> int:
    """Combinations of all grids; 1 where there is none."""
    return math.prod(len(d.grid) for d in space.values() if isinstance(d, Grid))


def draw(space: Space, seed: int, number: int) -> dict[str, Any]:
    """The values of trial `number` (from 0): {"train.learning_rate": 0.00123, ...}.

    The grids go round: trial n has combination n modulo their number, the last field fastest.
    """
    lengths = [len(d.grid) for d in space.values() if isinstance(d, Grid)]
    places = iter(np.unravel_index(number % math.prod(lengths), lengths) if lengths else ())
    values = {}
    for key, distribution in space.items():
        if isinstance(distribution, Grid):
            values[key] = distribution.grid[int(next(places))]
        else:
            rng = np.random.default_rng([seed, number, crc32(key.encode())])
            values[key] = distribution.draw(rng)
    return values


def field_names() -> list[str]:
    """Every field that a configuration has, with dots."""
    sections = IntentConfig.model_fields.items()
    return [f"{name}.{key}" for name, part in sections for key in part.annotation.model_fields]


def _distribution(key: str, spec: Any, place: str) -> Distribution:
    _check_key(key, place)
    kind = next(iter(spec)) if isinstance(spec, dict) and len(spec) == 1 else None
    if kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(KINDS)}"
        raise UsageError(
            f"search space key {key!r} ({place}): expected {{KIND: [...]}}, got {spec!r}; {hint} "
            "(a field that is the same in all trials goes into --config or --set)"
        )
    try:
        found = KINDS[kind].model_validate(spec)
    except ValidationError as error:
        problem = error.errors()[0]
        told = problem["msg"].removeprefix("Value error, ")
        raise UsageError(f"search space key {key!r} ({place}): {told}; got {spec!r}") from None
    read = [_as_read(key, value, place) for value in found.extremes()]
    # What YAML takes for text (1e-4 has no dot) is the number that the configuration reads.
    return KINDS[kind](**{kind: read}) if kind in ("choice", "grid") else found


def _as_read(key: str, value: Any, place: str) -> Any:
    """A value as the configuration has it; UsageError where the field cannot have it."""
    section, _, name = key.partition(".")
    config = with_values(IntentConfig(), {key: value}, place)
    return config.model_dump(mode="json")[section][name]


def _check_key(key: str, place: str) -> None:
    """UsageError for what is no field, and for fields that a sweep must leave alone."""
    if key in NOT_SWEPT:
        raise UsageError(f"search space key {key!r} ({place}) cannot vary: {NOT_SWEPT[key]}")
    names = field_names()
    if key.startswith("samples.") and key in names:
        raise UsageError(
            f"search space key {key!r} ({place}) cannot vary: it says how samples are built, and "
            "a sweep is over runs on the same samples"
        )
    if key not in names:
        last = key.rpartition(".")[2]
        near = [name for name in names if name.rpartition(".")[2] == last]
        near += difflib.get_close_matches(key, names, n=3, cutoff=0.6)
        near = list(dict.fromkeys(near))[:3]
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see docs/training.md"
        raise UsageError(f"unknown configuration key {key!r} ({place}): {hint}")


def _check_order(distribution: Any, low: float, high: float) -> Any:
    if not low < high:
        raise ValueError(f"the lower end comes first and is lower, got {low:g} and {high:g}")
    return distribution


def _rounded(value: float, low: float, high: float) -> float:
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)
