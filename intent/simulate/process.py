"""The hidden intent: one day of a cell's users as a chain of page visits with a state behind each.

Legend: U users of the cell, K visits of the busiest user on that day, V visits of all users.

A user in the app is in one of the states browsing, comparing, deciding, paying; between sessions
she is idle. In the app the state is a birth-death process in continuous time: up at rate
`up[state]`, down at rate `down[state]` per minute, paying going up being a purchase, after which
she browses again:

    browsing <-> comparing <-> deciding <-> paying -> purchase

The process is looked at when a visit ends. A visit of d minutes is followed by a move with
probability 1 - exp(-(up + down) d), which goes up with probability up / (up + down). The rates up
depend on the user and the hour:

    up(browsing) = up_1 exp(beta_1 b) w(hour) (1 - sated exp(-minutes since purchase / recovery))
    up(deciding) = up_3 exp(beta_3 b - gamma s z) w(hour) g_earnest g_focused

b the propensity to buy, s the price sensitivity, z how dear the wanted thing is, w a daily wave.
Going from browsing to comparing begins a *mission*: two categories (the wanted one A, an
alternative B), z, and two hidden bits. `earnest`, likelier the larger b is, shows only in the order
of what the user does (comments before sizes before cart, going to and fro between A and B, against
the same actions the other way round); `focused` shows only across views (which of A and B is
studied in the taps, when only the browse table tells which was searched for). Over an idle gap of
g minutes a mission is forgotten with probability 1 - exp(-g / memory).

Everything here happens before anything is emitted, and uses the past alone: a day depends on the
days before it and on its own random numbers, never on a later day, and no label exists anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intent.schema import DAY_MS, HOUR_MS
from intent.simulate.catalogue import Catalogue, pick
from intent.simulate.parameters import BROWSING, COMPARING, DECIDING, PAYING, Parameters
from intent.simulate.people import People, unit_lognormal

MINUTE_MS = 60_000
_LONG_AGO = -1e12


@dataclass
class Minds:
    """What the users carry from one day to the next, each an array [U].

    Attributes:
        state: hidden state; time: end of the last visit (ms since the start of the logs).
        pair: [U, 2] categories of interest, the wanted one first; dearness: z of the wanted one.
        earnest, focused: the mission's bits; bought: time of the last purchase.
    """

    state: np.ndarray
    time: np.ndarray
    pair: np.ndarray
    dearness: np.ndarray
    earnest: np.ndarray
    focused: np.ndarray
    bought: np.ndarray


@dataclass(frozen=True)
class Visits:
    """The visits of a day, sorted by user and time, each an array [V].

    Attributes:
        user: position in the cell; start, end: ms since the start of the logs.
        state: hidden state during the visit; bought: whether it ends with a purchase.
        fresh: whether a mission begins with it.
        wanted, other: the pair of categories; dearness: z; earnest, focused: bits of the mission.
    """

    user: np.ndarray
    start: np.ndarray
    end: np.ndarray
    state: np.ndarray
    bought: np.ndarray
    fresh: np.ndarray
    wanted: np.ndarray
    other: np.ndarray
    dearness: np.ndarray
    earnest: np.ndarray
    focused: np.ndarray


def new_minds(people: People, p: Parameters, shop: Catalogue, rng: np.random.Generator) -> Minds:
    """Users before their first day: all browsing, nothing bought."""
    n = len(people.index)
    return Minds(
        state=np.full(n, BROWSING),
        time=np.full(n, _LONG_AGO),
        pair=pick(shop.leaf_cdf, rng.random((n, 2))),
        dearness=rng.normal(size=n),
        earnest=rng.random(n) < in_earnest(people, p),
        focused=rng.random(n) < p.focused,
        bought=np.full(n, _LONG_AGO),
    )


def in_earnest(people: People, p: Parameters) -> np.ndarray:
    """[U] probability that a mission of the user is in earnest; it grows with the propensity."""
    odds = p.earnest / (1 - p.earnest) * np.exp(p.earnest_propensity * people.propensity)
    return odds / (1 + odds)


def _session_starts(
    people: People, day: int, opens: np.ndarray, p: Parameters, rng: np.random.Generator
) -> np.ndarray:
    """[K, U] start times: the j-th visit that opens a session gets the j-th of the user's times."""
    sessions = opens.sum(axis=0)
    hours = np.array(p.hours)
    u = rng.random((max(1, sessions.max()), len(people.index)))
    hour = pick(np.cumsum(hours) / hours.sum(), u) + rng.random(u.shape) + people.late
    times = np.where(np.arange(len(u))[:, None] < sessions, (hour % 24) * HOUR_MS, np.inf)
    times.sort(axis=0)
    turn = np.maximum(np.cumsum(opens, axis=0) - 1, 0)
    return day * DAY_MS + np.take_along_axis(times, turn, axis=0)


def _draw_leaves(
    people: People, size: int, p: Parameters, shop: Catalogue, rng: np.random.Generator
) -> np.ndarray:
    """[size, U] categories: a favourite of the user now and then, else any."""
    shape = (size, len(people.index))
    liked = np.take_along_axis(
        people.favourites, rng.integers(p.favourite_leaves, size=shape).T, axis=1
    ).T
    return np.where(
        rng.random(shape) < p.favourite_share, liked, pick(shop.leaf_cdf, rng.random(shape))
    )


def simulate_day(
    people: People, minds: Minds, day: int, p: Parameters, shop: Catalogue, rng: np.random.Generator
) -> Visits:
    """One day's visits; `minds` is moved on in place.

    A visit that would not end before midnight is not made, so that a day's events lie within it.
    """
    n = len(people.index)
    active = rng.random(n) < people.active
    busy = p.visits_per_day * people.activity * unit_lognormal(rng.normal(size=n), p.day_sigma)
    visits = np.where(active, np.minimum(1 + rng.poisson(busy), 1200), 0)
    size = max(1, visits.max())
    turn = np.arange(size)[:, None]
    on = turn < visits
    opens = on & ((rng.random((size, n)) * visits < p.sessions_per_day) | (turn == 0))
    begins = _session_starts(people, day, opens, p, rng)
    lasts = p.visit_seconds * 1000 * unit_lognormal(rng.normal(size=(size, n)), p.visit_sigma)
    pauses = rng.uniform(300, 2500, size=(size, n))
    u = rng.random((6, size, n))
    pairs = np.stack([_draw_leaves(people, size, p, shop, rng) for _ in range(2)], axis=-1)
    dear = rng.normal(size=(size, n))

    names = (
        "start",
        "end",
        "state",
        "bought",
        "fresh",
        "wanted",
        "other",
        "dearness",
        "earnest",
        "focused",
    )
    kinds = ("f8", "f8", "i8", "?", "?", "i8", "i8", "f8", "?", "?")
    kept = {name: np.zeros((size, n), kind) for name, kind in zip(names, kinds, strict=True)}
    fresh = np.zeros(n, bool)
    earnest = in_earnest(people, p)
    m = minds
    for k in range(size):
        start = np.where(
            opens[k], np.maximum(begins[k], m.time + 3 * MINUTE_MS), m.time + pauses[k]
        )
        gap = np.where(opens[k], (start - m.time) / MINUTE_MS, 0.0)
        forgets = u[0, k] < -np.expm1(-gap / p.memory_minutes)
        state = np.where(opens[k] & (m.state == PAYING), DECIDING, m.state)
        state = np.where(forgets, BROWSING, state)
        end = start + lasts[k] * np.take(p.visit_factor, state)
        here = on[k] & (end < (day + 1) * DAY_MS - 1000)

        turns = (state == BROWSING) & (u[1, k] < p.pair_refresh)
        pair = np.where(turns[:, None], pairs[k], m.pair)
        up, down = _rates(people, m, state, start, p)
        moves = u[2, k] < -np.expm1(-(up + down) * (end - start) / MINUTE_MS)
        rises = moves & (u[3, k] * (up + down) < up)
        bought = rises & (state == PAYING)
        after = np.where(moves, state + np.where(rises, 1, -1), state)
        after = np.where(bought, BROWSING, after)
        begun = rises & (state == BROWSING)

        row = (start, end, state, bought, fresh & (state == COMPARING), pair[:, 0], pair[:, 1])
        for name, value in zip(names, (*row, m.dearness, m.earnest, m.focused), strict=True):
            kept[name][k] = value
        on[k] = here
        m.state = np.where(here, after, m.state)
        m.time = np.where(here, end, m.time)
        m.bought = np.where(here & bought, end, m.bought)
        begun &= here
        m.pair = np.where(here[:, None], np.where(begun[:, None], pairs[k, :, ::-1], pair), m.pair)
        m.dearness = np.where(begun, dear[k], m.dearness)
        m.earnest = np.where(begun, u[4, k] < earnest, m.earnest)
        m.focused = np.where(begun, u[5, k] < p.focused, m.focused)
        fresh = begun | (fresh & ~here)

    user, turn = np.nonzero(on.T)
    return Visits(user=user, **{name: values.T[user, turn] for name, values in kept.items()})


def _rates(
    people: People, m: Minds, state: np.ndarray, start: np.ndarray, p: Parameters
) -> tuple[np.ndarray, np.ndarray]:
    """Rates up and down [U] per minute in `state` at time `start` (maths: top of the module)."""
    hour = (start / HOUR_MS) % 24
    wave = 1 + p.hour_purchase * np.cos((hour - 21) * np.pi / 12)
    since = (start - m.bought) / MINUTE_MS
    wish = np.exp(p.start_propensity * people.propensity - p.start_propensity**2 / 2)
    wish = wish * wave * (1 - p.sated * np.exp(-np.maximum(since, 0) / p.sated_minutes))
    pay = np.exp(
        p.pay_propensity * people.propensity - p.pay_price * people.sensitivity * m.dearness
    )
    pay = pay * wave * np.take(p.earnest_factor, m.earnest.astype(int))
    pay = pay * np.take(p.focused_factor, m.focused.astype(int))
    factor = np.where(state == BROWSING, wish, np.where(state == DECIDING, pay, 1.0))
    return np.take(p.up, state) * factor, np.take(p.down, state)
