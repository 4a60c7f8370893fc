"""Finding a group and saying it in words, on small random logs without Spark."""

from __future__ import annotations

import numpy as np
import pytest

from intent import storage
from intent.errors import IntentError, UsageError
from intent.features import discretize
from intent.samples import manifest as manifests
from intent.samples import peek
from intent.samples.convert import convert
from intent.samples.peek_table import show_group
from intent.samples.peek_words import (
    ago,
    count_words,
    describe_cut,
    describe_group,
    meaning,
    range_words,
)
from intent.schema import BROWSE, DAY_MS, HISTORY, PAPER, SWIPE, TAP
from tests.support.build import DICTIONARIES, NAMES, build_samples
from tests.support.raw_logs import START, naive_group, random_logs
from tests.support.s3 import s3, s3_server  # noqa: F401  fixtures

LENGTH = 16
VIEWS = ["swipe", "tap", "browse"]


@pytest.fixture(scope="module")
def logs():
    return random_logs()


@pytest.fixture(scope="module")
def samples(tmp_path_factory, logs):
    root = tmp_path_factory.mktemp("peek")
    build_samples(root / "tracks", logs, length=LENGTH, row_group=5)
    convert(root / "tracks", root / "groups")
    return {name: str(root / name) for name in ("tracks", "groups")}


@pytest.fixture(params=["tracks", "groups"])
def dataset(samples, request):
    return samples[request.param], manifests.load(samples[request.param])


def test_every_group_is_found_and_is_the_naive_one(dataset, logs):
    root, manifest = dataset
    found = 0
    for user in sorted(set(logs["browse"].user_id)):
        days = peek.cuts_of(root, manifest, user)
        cuts = [describe_cut(unit, i) for unit in days for i in range(unit.groups)]
        times = [cut["time"] for cut in cuts]
        assert times == sorted(set(times))
        found += len(cuts)
        for cut in cuts[::12]:
            unit, index = peek.group_at(root, manifest, user, cut["time"])
            group = describe_group(unit, index, DICTIONARIES, 0, VIEWS)
            naive = naive_group(logs, NAMES, user, cut["time"], LENGTH)
            assert list(group["labels"].values()) == naive["labels"]
            assert [h["id"] for h in group["history"].values()] == naive["history"]
            for view in VIEWS:
                want = naive[view]
                assert group["lengths"][view] == len(want) == len(group["views"][view])
                assert [a["time"] for a in group["views"][view]] == [t for t, _ in want]
                if len({t for t, _ in want}) == len(want) < LENGTH:  # their order is certain
                    got = [tuple(a["ids"].values()) for a in group["views"][view]]
                    assert got == [ids for _, ids in want]
    assert found == manifest.groups


def test_the_cut_at_a_moment_or_the_last_one_before_it(dataset):
    root, manifest = dataset
    days = peek.cuts_of(root, manifest, "user-1")
    times = np.concatenate([unit.at for unit in days])
    for i, time in list(enumerate(times.tolist()))[::9]:
        for moment, expected in ((time, time), (time - 1, times[i - 1] if i else None)):
            if expected is None:
                with pytest.raises(IntentError, match=f"first one is at {peek.iso(times[0])}"):
                    peek.group_at(root, manifest, "user-1", moment)
            else:
                unit, index = peek.group_at(root, manifest, "user-1", moment)
                assert unit.at[index] == expected and unit.users[index] == "user-1"
    unit, index = peek.group_at(root, manifest, "user-1", 2**41)
    assert unit.at[index] == times[-1]


def test_the_last_actions_are_those_next_to_the_cut(dataset):
    root, manifest = dataset
    unit, index = peek.group_at(root, manifest, "user-0", START + 3 * DAY_MS)
    whole, short = (describe_group(unit, index, DICTIONARIES, n, VIEWS) for n in (0, 3))
    for view in VIEWS:
        assert len(whole["views"][view]) == LENGTH
        assert short["views"][view] == whole["views"][view][-3:]
    assert list(describe_group(unit, index, DICTIONARIES, 3, ["tap"])["views"]) == ["tap"]


def test_a_session_is_where_the_window_begins(tmp_path, logs, capsys):
    build_samples(tmp_path, logs, length=LENGTH, session_gap_minutes=20)
    manifest = manifests.load(tmp_path)
    unit, index = peek.group_at(str(tmp_path), manifest, "user-2", START + 3 * DAY_MS)
    group = describe_group(unit, index, DICTIONARIES, 0, VIEWS)
    times = [a["time"] for view in VIEWS for a in group["views"][view]]
    assert peek.iso(min(times)) >= group["session_start"] and len(times) < 3 * LENGTH
    show_group(group, manifest.schema)
    assert f"with the session, {group['session_start']}" in capsys.readouterr().out


def test_an_object_store_gives_the_same(samples, s3):  # noqa: F811
    for layout, folder in samples.items():
        manifest = manifests.load(folder)
        for name in storage.files(folder):
            storage.copy(storage.join(folder, name), storage.join(s3, layout, name))
        found = []
        for root in (folder, f"{s3}/{layout}"):
            group = peek.group_at(root, manifest, "user-3", START + 2 * DAY_MS)
            found.append(describe_group(*group, DICTIONARIES, 0, VIEWS))
        assert found[0] == found[1] and found[0]["lengths"]["swipe"] == LENGTH


def test_a_missing_shard_is_named(tmp_path, logs):
    manifest = build_samples(tmp_path, logs, length=LENGTH)
    (tmp_path / manifest.shards[1].path).unlink()
    with pytest.raises(IntentError, match=f"{manifest.shards[1].path} is missing"):
        peek.cuts_of(str(tmp_path), manifest, "user-0")


def test_an_unknown_user_is_told_who_is_near(dataset):
    root, manifest = dataset
    with pytest.raises(IntentError, match="no user 'user-' among its 4 users.*'user-0', 'user-1'"):
        peek.cuts_of(root, manifest, "user-")
    with pytest.raises(IntentError, match="no user 'zzz'.*none has a name like that"):
        peek.group_at(root, manifest, "zzz", START)
    assert set(peek.some_users(root, manifest)) <= {f"user-{i}" for i in range(4)}


def test_near_names_are_found_among_many():
    names = sorted(f"user-{i:07d}" for i in range(50_000))
    assert "user-0031415" in peek.nearest("user-0031415x", names)
    assert peek.nearest("31", ["a31", "b13", "x", "z310"]) == ["a31", "z310"]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("1767702896789", 1767702896789, 1767702896789),
        ("2026-01-06T12:34:56.789Z", 1767702896789, 1767702896789),
        ("2026-01-06 12:34:56.789", 1767702896789, 1767702896789),
        ("2026-01-06T12:34:56.789123+00:00", 1767702896789, 1767702896789),
        ("2026-01-06T12:34:56Z", 1767702896000, 1767702896999),
        ("2026-01-06T12:34", 1767702840000, 1767702899999),
        ("2026-01-06", 1767657600000, 1767657600000 + DAY_MS - 1),
    ],
)
def test_moments(text, first, last):
    assert peek.moments_of(text) == (first, last)
    assert peek.moments_of(peek.iso(first)) == (first, first)


@pytest.mark.parametrize("text", ["", "now", "soon", "2026-13-01", "2026-01-06T10:00+02:00", "-5"])
def test_what_is_no_moment(text):
    with pytest.raises(UsageError, match="--at is a moment in UTC"):
        peek.moments_of(text)


def test_every_id_has_words_of_its_own():
    features = [(view, f) for view in (SWIPE, TAP, BROWSE) for f in view.features]
    for view, feature in features:
        assert meaning(view, feature, 0, DICTIONARIES) is None
        names = NAMES.get(f"{view.name}.{feature.name}", [])
        top = 1 + len(names) if feature.unknown else feature.dictionary
        words = [meaning(view, feature, i, DICTIONARIES) for i in range(1, top + 1)]
        assert None not in words and len(set(words)) == top
        if feature.unknown:
            assert words == ["(unknown)", *names]


def test_words():
    assert range_words(*discretize.time_gap.bounds(2)) == "100-199 ms"
    assert range_words(*discretize.time_gap.bounds(11)) == "1-2 s"
    assert range_words(*discretize.time_gap.bounds(20)) == "over 10 s"
    assert range_words(*discretize.duration.bounds(12)) == "500-749 ms"
    assert range_words(*discretize.stay_time.bounds(60)) == "59-60 s"
    assert range_words(*discretize.stay_time.bounds(179)) == "over 119 min"
    assert range_words(*discretize.age.bounds(1)) == "0-5 min"
    assert range_words(*discretize.age.bounds(13)) == "1-2 h"
    assert [ago(ms) for ms in (5, 3000, 3250, 45_999, 125_000, 40 * 60_000)] == [
        "5 ms", "3 s", "3.2 s", "45 s", "2 min 5 s", "40 min",
    ]  # fmt: skip
    assert [ago(ms) for ms in (7_500_000, 20 * 3_600_000, 25 * 3_600_000)] == [
        "2 h 5 min", "20 h", "1 d 1 h",
    ]  # fmt: skip
    assert [count_words(i, HISTORY[0]) for i in (1, 19, 20)] == ["0", "18", "19 or more"]
    assert meaning(SWIPE, SWIPE.features[3], 5, DICTIONARIES) == "24-29 %"


def test_names_of_logs_cannot_write_to_the_terminal(dataset, capsys):
    root, manifest = dataset
    unit, index = peek.group_at(root, manifest, "user-0", START + 3 * DAY_MS)
    group = describe_group(unit, index, DICTIONARIES, 2, ["tap"])
    group["views"]["tap"][0]["words"]["page"] = "[red]\x1b[31m:smile:"
    show_group(group, PAPER)
    out = capsys.readouterr().out
    assert "[red]\N{REPLACEMENT CHARACTER}[31m:smile:" in out and "\x1b" not in out
