"""Days that get groups, and how they join a dataset."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from intent.config import SamplesConfig, TrainConfig
from intent.errors import IntentError, UsageError
from intent.features.span import Span
from intent.samples.days import (
    check_joins,
    chosen_days,
    days_of,
    join,
    like,
    names_of,
    parse_days,
)
from intent.schema import DAY_MS
from tests.support.build import build_samples
from tests.support.raw_logs import START, random_logs

SPAN = Span(START, START + 3 * DAY_MS + 5)
FIRST = date(2024, 10, 4)  # START


def test_days_are_whole_and_within_the_logs():
    assert chosen_days(SPAN, SamplesConfig()) == Span(START, START + 4 * DAY_MS)
    one = SamplesConfig(first_day=FIRST, last_day=FIRST)
    assert names_of(chosen_days(SPAN, one)) == ["2024-10-04"]
    late = SamplesConfig(first_day=date(2024, 10, 6))
    assert names_of(chosen_days(SPAN, late)) == ["2024-10-06", "2024-10-07"]


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (date(2024, 10, 9), None, "logs are of 2024-10-04 to 2024-10-07.*from 2024-10-09"),
        (None, date(2024, 10, 1), "asked for from the first day to 2024-10-01"),
        (date(2024, 10, 6), date(2024, 10, 5), "is after"),
    ],
)
def test_days_that_the_logs_do_not_have_are_an_error(first, last, message):
    with pytest.raises(UsageError, match=message):
        chosen_days(SPAN, SamplesConfig(first_day=first, last_day=last))


def test_days_are_parsed():
    assert parse_days("2026-01-19") == (date(2026, 1, 19), date(2026, 1, 19))
    assert parse_days("2026-01-18..2026-01-19") == (date(2026, 1, 18), date(2026, 1, 19))
    for wrong in ("tomorrow", "2026-01-19..2026-01-18"):
        with pytest.raises(UsageError, match=f"got '{wrong}'"):
            parse_days(wrong)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return build_samples(tmp_path_factory.mktemp("whole"), random_logs())


def part(manifest, days):
    """The dataset as a build of these days alone would have made it."""
    build = replace(manifest.builds[0], days=days)
    return replace(manifest.only(days), builds=[build])


def test_days_join_in_any_order_and_give_the_whole(whole):
    first, second, third = whole.days
    a = join(part(whole, [first, second]), part(whole, [third]))
    b = join(part(whole, [second, third]), part(whole, [first]))
    assert a.hash() == b.hash() == whole.hash()
    assert [b.days for b in a.builds] == [[first, second], [third]]
    assert part(whole, [first]).hash() != whole.hash()


def test_a_day_built_again_replaces_itself_and_changes_nothing(whole):
    second = whole.days[1]
    assert join(whole, part(whole, [second])) == whole


def test_a_day_that_came_out_otherwise_replaces_the_old_one(whole, tmp_path):
    second = whole.days[1]
    other = build_samples(tmp_path, random_logs(seed=1))
    joined = join(whole, part(other, [second]))
    assert joined.only([second]).hash() == other.only([second]).hash()
    assert joined.days == whole.days
    assert [b.days for b in joined.builds] == [[whole.days[0], whole.days[2]], [second]]
    nothing = join(whole, replace(part(other, [second]), shards=[]))
    assert nothing == whole  # logs that end too early for a day's labels do not remove it


def test_what_is_not_set_is_as_in_the_dataset(whole):
    same = like(whole, SamplesConfig())
    assert (same.length, same.seed, same.cuts_per_day) == (16, 3, 12)
    check_joins(whole, same, "here")
    set_ = like(whole, SamplesConfig(seed=5, max_quarantine_share=0.5))
    assert (set_.seed, set_.length, set_.max_quarantine_share) == (5, 16, 0.5)


def test_days_built_otherwise_do_not_join(whole):
    settings = SamplesConfig(length=16, cuts_per_day=12, seed=3, groups_per_row_group=20)
    check_joins(whole, settings, "here")
    for change in ({"seed": 4}, {"length": 32}, {"negative_rate": 0.5}):
        with pytest.raises(UsageError, match=f"samples.{next(iter(change))}="):
            check_joins(whole, settings.model_copy(update=change), "here")
    with pytest.raises(UsageError, match="layout"):
        check_joins(replace(whole, layout="groups"), settings, "here")


@pytest.fixture
def week(whole):
    """A manifest with groups on seven days."""
    shards = [replace(whole.shards[0], day=f"2024-10-{day:02}") for day in range(4, 11)]
    return replace(whole, shards=shards)


def test_what_is_chosen_by_is_neither_trained_on_nor_held_out(week):
    days = week.days
    plain = days_of(week, TrainConfig())
    assert (plain.train, plain.validation, plain.held_out) == (days[:-1], [], days[-1:])
    assert plain.watched == days[-1:]
    chosen = days_of(week, TrainConfig(validation_days=2))
    assert (chosen.train, chosen.validation) == (days[:-3], days[-3:-1])
    assert chosen.held_out == plain.held_out
    assert chosen.watched == chosen.validation


def test_purging_leaves_a_day_out_at_both_borders(week):
    """Labels look 24 hours ahead: those of a validation day must not know the held-out day."""
    days = week.days
    found = days_of(week, TrainConfig(validation_days=1, purge=True))
    assert (found.train, found.validation, found.held_out) == (days[:-4], days[-3:-2], days[-1:])


def test_days_too_few_to_choose_by_are_an_error(week):
    few = week.only(week.days[:2])
    with pytest.raises(IntentError, match="leaves no day to train on: before the held-out"):
        days_of(few, TrainConfig(validation_days=1))
    assert days_of(few, TrainConfig()).train == week.days[:1]
