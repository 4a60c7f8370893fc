"""Which days get groups, how a build of some days joins a dataset, and which days are held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from intent.config import SamplesConfig, TrainConfig
from intent.errors import IntentError, UsageError
from intent.features.span import Span
from intent.samples.manifest import Build, Manifest
from intent.samples.store import day_name
from intent.schema import DAY_MS


def start_of(day: date) -> int:
    """First millisecond of a day, UTC."""
    return (day - date(1970, 1, 1)).days * DAY_MS


def chosen_days(span: Span, settings: SamplesConfig) -> Span:
    """The days that get groups, [start, end) in epoch ms: whole days within the observed ones.

    Raises UsageError where the logs have none of the days that were asked for.
    """
    first, last = settings.first_day, settings.last_day
    if first and last and first > last:
        raise UsageError(f"samples.first_day {first} is after samples.last_day {last}")
    seen = Span(span.start // DAY_MS * DAY_MS, -(-span.end // DAY_MS) * DAY_MS)
    days = Span(
        max(seen.start, start_of(first)) if first else seen.start,
        min(seen.end, start_of(last) + DAY_MS) if last else seen.end,
    )
    if days.start >= days.end:
        raise UsageError(
            f"the logs are of {day_name(seen.start)} to {day_name(seen.end - DAY_MS)}, and groups "
            f"were asked for from {first or 'the first day'} to {last or 'the last day'}"
        )
    return days


def names_of(days: Span) -> list[str]:
    """The days as YYYY-MM-DD."""
    return [day_name(start) for start in range(days.start, days.end, DAY_MS)]


def days_between(first: date, last: date) -> list[str]:
    """The days from `first` to `last` as YYYY-MM-DD."""
    return names_of(Span(start_of(first), start_of(last) + DAY_MS))


def parse_days(text: str) -> tuple[date, date]:
    """First and last day of "2026-01-19" or "2026-01-18..2026-01-19"."""
    first, _, last = text.partition("..")
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last or first)
        if begin > end:
            raise ValueError
        return begin, end
    except ValueError:
        raise UsageError(
            "--add takes a day, or the first and the last: 2026-01-19, 2026-01-18..2026-01-19; "
            f"got {text!r}"
        ) from None


def like(old: Manifest, settings: SamplesConfig) -> SamplesConfig:
    """The settings of a dataset, but for those that were set explicitly."""
    there = {**old.settings, "length": old.schema.length}
    return settings.model_copy(
        update={name: v for name, v in there.items() if name not in settings.model_fields_set}
    )


def check_joins(old: Manifest, settings: SamplesConfig, root: str) -> None:
    """UsageError where days built with these settings would not fit to the dataset at `root`."""
    if old.layout != "tracks":
        raise UsageError(f"{root} has the layout {old.layout!r}; days are added to tracks only")
    wanted = {**settings.of_groups(), "length": settings.length}
    there = {**old.settings, "length": old.schema.length}
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) != there.get(name):
            raise UsageError(
                f"{root} was built with samples.{name}={there.get(name)}, not "
                f"{wanted.get(name)}; added days must be built alike: leave it out"
            )


def join(old: Manifest, new: Manifest) -> Manifest:
    """The dataset `old` with the days of `new`, whether `old` has them or not.

    A day of which `new` has no group, because its logs end too early for the labels, stays as it
    is. Days that come out with the groups that they have change nothing, not even the account of
    the builds.
    """
    if old.schema.hash() != new.schema.hash():
        raise UsageError(
            f"the dataset has {', '.join(old.schema.sources)}, these logs "
            f"{', '.join(new.schema.sources)}: give the same tables"
        )
    chosen = set(new.days)
    if all(old.only([day]).content_hash() == new.only([day]).content_hash() for day in chosen):
        return old
    kept = [s for s in old.shards if s.day not in chosen]
    builds: list[Build] = []
    for build in old.builds:
        left = [day for day in build.days if day not in chosen]
        if left:
            builds.append(replace(build, days=left))
    builds = sorted([*builds, *new.builds], key=lambda b: b.days)
    shards = sorted([*kept, *new.shards], key=lambda s: s.path)
    return replace(old, shards=shards, builds=builds)


def split_days(
    manifest: Manifest, evaluation_days: int, purge: bool
) -> tuple[list[str], list[str]]:
    """Days to train on and days to evaluate on: the last ones (section 6.1).

    With `purge`, training days whose longest horizon reaches into evaluation are left out.
    """
    days = manifest.days
    if len(days) <= evaluation_days:
        raise IntentError(
            f"the samples have {len(days)} day(s) ({', '.join(days)}); training and evaluation "
            f"on the last {evaluation_days} need at least {evaluation_days + 1}"
        )
    train, held_out = days[:-evaluation_days], days[-evaluation_days:]
    if purge:
        horizon = max(t.horizon_ms for t in manifest.schema.tasks)
        limit = np.datetime64(held_out[0], "ms") - np.timedelta64(horizon, "ms")
        kept = [d for d in train if np.datetime64(d, "ms") + np.timedelta64(1, "D") <= limit]
        if not kept:
            raise IntentError(f"purge leaves no training day of {', '.join(train)}; give more days")
        train = kept
    return train, held_out


@dataclass(frozen=True)
class Days:
    """Which days a run does what with; no day is in two of them.

    Attributes:
        train: days that are learnt from.
        validation: days scored after every epoch, to choose by; none unless asked for.
        held_out: the last days, for the final figures.
    """

    train: list[str]
    validation: list[str]
    held_out: list[str]

    @property
    def watched(self) -> list[str]:
        """Days scored after every epoch: those to choose by, else the held-out ones, to look at."""
        return self.validation or self.held_out


def days_of(manifest: Manifest, options: TrainConfig) -> Days:
    """The days of a run: held out are the last, validation the last before those.

    With `options.purge` a day is left out at both borders where its labels reach across: those of
    validation days must not know the held-out ones either.
    """
    train, held_out = split_days(manifest, options.evaluation_days, options.purge)
    if not options.validation_days:
        return Days(train, [], held_out)
    if len(train) <= options.validation_days:
        raise IntentError(
            f"train.validation_days={options.validation_days} leaves no day to train on: before "
            f"the held-out {', '.join(held_out)} there is {', '.join(train)}; give more days, or "
            "train.validation_days=0"
        )
    train, validation = split_days(manifest.only(train), options.validation_days, options.purge)
    return Days(train, validation, held_out)
