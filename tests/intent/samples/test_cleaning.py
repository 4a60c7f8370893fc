"""Each rule against the same thing said with loops, and independence of who else is there."""

from __future__ import annotations

import numpy as np
import pytest

from intent.features.history import TIME_BITS, TIME_MASK, key
from intent.samples import cleaning
from intent.schema import DAY_MS

START = 1_767_571_200_000  # 2026-01-05
HOUR, PAUSE = cleaning.HOUR_MS, cleaning.PAUSE_MS


def crowd(rng: np.random.Generator, users: int, most: int = 400) -> np.ndarray:
    """Sorted keys of users of all sorts: bursts and pauses, timers, coarse clocks, repetitions."""
    keys = []
    for user in range(users):
        n = int(rng.integers(0, most))
        scale = 10 ** rng.uniform(1, 6)
        gaps = {
            0: rng.exponential(scale, n),
            1: scale * rng.lognormal(0, rng.choice([0.0, 0.05, 0.2, 1.0]), n),
            2: rng.choice([0, 1, 120, 1_000, PAUSE, PAUSE + 1, HOUR], n),
        }[int(rng.integers(3))]
        times = START + int(rng.integers(DAY_MS)) + np.cumsum(gaps.astype(np.int64))
        tick = rng.choice([1, 1, 1_000, 60_000])
        keys.append(key(np.full(n, user), times // tick * tick))
    return np.sort(np.concatenate(keys))


def timer(gap: int, n: int, rest: int = 0, every: int = 100, jitter: float = 0.0, seed: int = 0):
    """Keys of user 0, who acts each `gap` ms and rests for `rest` ms after each `every` actions."""
    noise = np.random.default_rng(seed).lognormal(0, jitter, n)
    gaps = np.where(np.arange(n) % every == every - 1, rest, 0) + gap * noise
    return key(np.zeros(n, int), START + 7 + np.cumsum(gaps.astype(np.int64)))


def naive_faster(moments, users, per_minute):
    found = []
    for user in range(users):
        times = [int(k & TIME_MASK) for k in moments if k >> TIME_BITS == user]
        most = max((sum(t <= other < t + HOUR for other in times) for t in times), default=0)
        found.append(most > per_minute * 60)
    return found


def naive_even(moments, users, regularity, least):
    found = []
    for user in range(users):
        times = sorted({int(k & TIME_MASK) for k in moments if k >> TIME_BITS == user})
        pairs = zip(times, times[1:], strict=False)
        gaps = sorted(b - a for a, b in pairs if b - a <= PAUSE)
        if len(gaps) < max(least, 1):
            found.append(False)
            continue
        tenth = len(gaps) // 10
        low, high = gaps[tenth], gaps[len(gaps) - 1 - tenth]
        tick = max(c for c in (1, 10, 100, 1_000, 10_000, 60_000) if all(t % c == 0 for t in times))
        found.append((high - low) / (high + low) < regularity and high > tick)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_rate_and_evenness_equal_the_loops(seed):
    rng = np.random.default_rng(seed)
    moments, users = crowd(rng, 30), 31
    for per_minute in (0.05, 0.5, 3.0):
        expected = naive_faster(moments, users, per_minute)
        assert cleaning.faster(moments, users, per_minute).tolist() == expected
    for regularity, least in ((0.3, 20), (0.05, 5), (1.1, 0)):
        expected = naive_even(moments, users, regularity, least)
        assert cleaning.even(moments, users, regularity, least).tolist() == expected
        assert any(expected)
    both = cleaning.bots(moments, users, 0.5, 0.3, 20)
    enough = np.bincount(moments >> TIME_BITS, minlength=users) >= 20
    fast = np.array(naive_faster(moments, users, 0.5)) & enough
    assert (both == (fast | naive_even(moments, users, 0.3, 20))).all()
    assert not cleaning.bots(moments, users, None, None, 0).any()


def test_timers_are_found_with_jitter_and_rests_and_people_are_not():
    rng = np.random.default_rng(1)
    for name, moments in {
        "planted": timer(120, 400, rest=DAY_MS),
        "resting": timer(120, 400, rest=20 * 60_000),
        "jitter": timer(2_000, 400, jitter=0.15),
        "slow": timer(10 * 60_000, 400),
    }.items():
        assert cleaning.bots(moments, 1, None, 0.3, 100).tolist() == [True], name
        assert cleaning.bots(moments, 1, None, 0.3, 500).tolist() == [False], name
    gaps = np.diff(timer(120, 400, rest=20 * 60_000))
    assert gaps.std() / gaps.mean() > 1  # the usual coefficient would take the resting one for us
    person = START + np.cumsum(rng.lognormal(7.3, 1.2, 3_000).astype(np.int64))
    person = key(np.zeros(3_000, int), person)
    assert not cleaning.bots(person, 1, 200, 0.3, 100).any()
    assert cleaning.bots(person, 1, 0.2, None, 100).all()  # the rule bites where it is told to


def test_a_coarse_clock_makes_nobody_a_bot():
    rng = np.random.default_rng(2)
    times = START + np.cumsum(rng.exponential(2_000, 5_000).astype(np.int64))
    moments = np.unique(key(np.zeros(5_000, int), times // 60_000 * 60_000))
    gaps = np.diff(moments)
    assert (gaps == 60_000).mean() > 0.9  # as even as can be, and no bot's doing
    assert not cleaning.bots(moments, 1, None, 0.3, 20).any()
    assert cleaning.bots(moments + 1, 1, None, 0.3, 20).all()  # the same gaps of a fine clock


def test_a_bot_is_one_whoever_else_is_there():
    rng = np.random.default_rng(3)
    moments, users = crowd(rng, 40), 40
    together = cleaning.bots(moments, users, 1.0, 0.3, 10)
    assert 0 < together.sum() < users
    alone = []
    for user in range(users):
        mine = moments[moments >> TIME_BITS == user] & TIME_MASK
        alone.append(cleaning.bots(mine, 1, 1.0, 0.3, 10)[0])
    assert together.tolist() == alone
    # Times of neighbours may lie at the far ends of what a key holds.
    ends = np.sort(key(np.repeat([0, 1], 200), np.repeat([TIME_MASK, 0], 200)))
    assert not cleaning.faster(ends, 2, 200 / 60).any()
    assert cleaning.faster(ends, 2, 199 / 60).all()


@pytest.mark.parametrize("seed", range(4))
def test_out_of_order_equals_the_loop(seed):
    rng = np.random.default_rng(seed)
    user = np.sort(rng.integers(0, 12, 300))
    time = START + np.cumsum(rng.integers(-40, 60, 300))
    found = cleaning.out_of_order(key(user, time))
    latest: dict[int, int] = {}
    expected = []
    for u, t in zip(user.tolist(), time.tolist(), strict=True):
        expected.append(t < latest.get(u, 0))
        latest[u] = max(t, latest.get(u, 0))
    assert found.tolist() == expected and any(expected) and not all(expected)
    assert not cleaning.out_of_order(np.sort(key(user, time))).any()


@pytest.mark.parametrize("gap_ms", [0, 1_000, PAUSE, DAY_MS])
def test_sessions_equal_the_loop(gap_ms):
    rng = np.random.default_rng(gap_ms)
    moments = crowd(rng, 20, most=60)
    starts = cleaning.session_starts(moments, gap_ms)
    expected, before = [], None
    of: dict[int, int] = {}
    for k in moments.tolist():
        if before is None or k >> TIME_BITS != before >> TIME_BITS or k - before > gap_ms:
            expected.append(k)
        before, of[k] = k, expected[-1]
    assert starts.tolist() == expected
    assert cleaning.session_of(moments, starts).tolist() == [of[k] for k in moments.tolist()]
    first = np.unique(moments >> TIME_BITS, return_index=True)[1]
    late, early = moments + 3, moments[first] - 3
    assert (cleaning.session_of(early, starts) == early).all()
    assert (cleaning.session_of(late, starts) >= cleaning.session_of(moments, starts)).all()
    assert (cleaning.session_of(late, starts) >> TIME_BITS == late >> TIME_BITS).all()


def thinning(rng, users=200, cuts=100):
    """Keys of cuts, hashes of users, labels with some positives."""
    hashes = rng.integers(0, 2**64, users, dtype=np.uint64)
    at = key(np.repeat(np.arange(users), cuts), START + rng.integers(0, DAY_MS, users * cuts))
    return np.sort(at), hashes, (rng.random((users * cuts, 2)) < [0.03, 0.1]).astype(np.uint8)


def test_negatives_are_thinned_to_the_rate_and_positives_stay():
    at, hashes, labels = thinning(np.random.default_rng(4))
    negative = ~labels.any(axis=1)
    before = np.zeros(len(at), bool)
    for rate in (0.01, 0.1, 0.5, 1.0):
        kept = cleaning.keep_negatives(at, hashes, labels, rate, seed=3)
        assert kept[~negative].all()
        error = 4 * np.sqrt(rate * (1 - rate) / negative.sum())
        assert abs(kept[negative].mean() - rate) <= error
        assert (kept | ~before).all()  # what a lower rate kept
        before = kept
    assert before.all()


def test_the_lot_of_a_cut_depends_on_user_time_and_seed_only():
    at, hashes, labels = thinning(np.random.default_rng(5))
    labels[:] = 0
    kept = cleaning.keep_negatives(at, hashes, labels, 0.3, seed=1)
    some = (at >> TIME_BITS) % 3 == 1
    code = np.searchsorted(np.unique(at[some] >> TIME_BITS), at[some] >> TIME_BITS)
    alone = cleaning.keep_negatives(
        key(code, at[some] & TIME_MASK), hashes[1::3], labels[some], 0.3, seed=1
    )
    assert (alone == kept[some]).all()
    for other in (
        cleaning.keep_negatives(at, hashes, labels, 0.3, seed=2),
        cleaning.keep_negatives(at, hashes[::-1], labels, 0.3, seed=1),
        cleaning.keep_negatives(at + 1, hashes, labels, 0.3, seed=1),
    ):  # as good as independent of the first
        assert abs((other == kept).mean() - (0.3**2 + 0.7**2)) < 0.02


def test_nothing_in_nothing_out():
    none, hashes = np.zeros(0, np.int64), np.zeros(0, np.uint64)
    assert cleaning.bots(none, 3, 200, 0.3, 1).tolist() == [False] * 3
    assert cleaning.bots(none, 0, 200, 0.3, 1).tolist() == []
    assert len(cleaning.out_of_order(none)) == len(cleaning.session_starts(none, 5)) == 0
    assert len(cleaning.session_of(none, none)) == 0
    assert cleaning.session_of(key([2], [9]), none).tolist() == key([2], [9]).tolist()
    assert len(cleaning.keep_negatives(none, hashes, np.zeros((0, 2)), 0.5, 0)) == 0
