"""The hidden process: states, purchases, and that order and cross-view marks follow its bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from intent.schema import DAY_MS
from intent.simulate.catalogue import catalogue
from intent.simulate.emission import SEARCH, emit
from intent.simulate.parameters import BROWSING, COMPARING, DECIDING, DETAIL, PAYING, SHOP
from intent.simulate.people import draw_history, draw_people
from intent.simulate.process import new_minds, simulate_day
from intent.simulate.scenes import set_scenes
from intent.simulate.shop import generator

USERS = 300


@pytest.fixture(scope="module")
def two_days():
    shop, rng = catalogue(SHOP), generator(2, "people", 0)
    people = draw_people(np.arange(USERS), SHOP, shop, rng)
    minds = new_minds(people, SHOP, shop, rng)
    days = [
        simulate_day(people, minds, d, SHOP, shop, generator(2, "process", 0, d)) for d in range(2)
    ]
    return people, days


def test_visits_of_a_user_follow_one_another_within_the_day(two_days):
    _, days = two_days
    for day, v in enumerate(days):
        same = np.diff(v.user) == 0
        assert (v.start[1:][same] > v.end[:-1][same]).all()
        assert (v.end > v.start).all()
        assert v.start.min() >= day * DAY_MS and v.end.max() < (day + 1) * DAY_MS
        assert (np.diff(v.user) >= 0).all()


def test_the_state_moves_one_step_at_a_time_and_only_paying_ends_in_a_purchase(two_days):
    _, days = two_days
    for v in days:
        assert set(np.unique(v.state)) == {BROWSING, COMPARING, DECIDING, PAYING}
        assert (v.state[v.bought] == PAYING).all() and v.bought.any()
        same = (np.diff(v.user) == 0) & (v.start[1:] - v.end[:-1] < 3000)  # no idle gap between
        step = np.diff(v.state)[same]
        kept, bought = np.abs(step) <= 1, v.bought[:-1][same]
        assert (kept | bought).all()
        assert (v.state[1:][same][bought] == BROWSING).all()


def test_propensity_shows_in_purchases_and_in_the_year_before(two_days):
    people, days = two_days
    bought = sum(np.bincount(v.user[v.bought], minlength=USERS) for v in days)
    keen = people.propensity > np.median(people.propensity)
    assert bought[keen].sum() > 2 * bought[~keen].sum()
    counts = draw_history(people, SHOP, generator(2, "history", 0)).sum(axis=1)[:, 2]
    assert counts[keen].sum() > 2 * counts[~keen].sum()


def test_purchases_follow_from_the_bits_of_the_mission(two_days):
    _, days = two_days
    buys = {(e, f): 0 for e in (False, True) for f in (False, True)}
    for v in days:
        for e, f in zip(v.earnest[v.bought], v.focused[v.bought], strict=True):
            buys[bool(e), bool(f)] += 1
    assert buys[True, True] > 5 * max(1, buys[False, False])


def test_the_order_of_studying_tells_whether_a_mission_is_in_earnest(two_days):
    people, days = two_days
    v = days[1]
    s = set_scenes(v, people, SHOP, catalogue(SHOP), generator(2, "emission", 0, 1))
    mission = s.studied & (v.state >= COMPARING)
    assert s.usual[mission & v.earnest].mean() > 0.8
    assert s.usual[mission & ~v.earnest].mean() < 0.2
    assert s.usual[s.studied & (v.state == BROWSING)].mean() == pytest.approx(0.5, abs=0.12)
    often = [
        s.studied[(s.kind == DETAIL) & (v.state == DECIDING) & (v.earnest == e)].mean()
        for e in (0, 1)
    ]
    assert often[0] == pytest.approx(often[1], abs=0.08)  # counts do not tell it


def test_what_is_studied_tells_whether_a_mission_is_on_target_only_with_the_browse_view(two_days):
    people, days = two_days
    v = days[1]
    s = set_scenes(v, people, SHOP, catalogue(SHOP), generator(2, "emission", 0, 1))
    mission = s.studied & (v.state >= COMPARING) & (v.wanted != v.other)
    on_wanted = s.leaf == v.wanted
    assert on_wanted[mission & v.focused].mean() > on_wanted[mission & ~v.focused].mean() + 0.4
    detail = (s.kind == DETAIL) & (v.state == DECIDING)
    often = [s.studied[detail & (v.focused == f)].mean() for f in (0, 1)]
    assert often[0] == pytest.approx(often[1], abs=0.08)


def test_a_mission_begins_with_a_search_for_the_wanted_thing(two_days):
    people, days = two_days
    v = days[0]
    _, _, browse = emit(v, people, 0.2, SHOP, catalogue(SHOP), generator(2, "emission", 0, 0))
    searched = (
        set(zip(browse["user"], browse["leaf"], strict=True))
        if (browse["type"] == SEARCH).any()
        else set()
    )
    assert v.fresh.any()
    assert all(pair in searched for pair in zip(v.user[v.fresh], v.wanted[v.fresh], strict=True))


def test_the_hash_of_the_parameters_follows_every_number():
    assert SHOP.hash() == replace(SHOP).hash()
    assert SHOP.hash() != replace(SHOP, zipf=1.06).hash()
    assert SHOP.hash() != replace(SHOP, dirt=replace(SHOP.dirt, broken=0.009)).hash()
